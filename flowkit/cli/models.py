"""`flowkit models`: the weights that ship, and the card of each."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from flowkit.checkpoint import locate, read_checkpoint, shipped_weights, trained_on
from flowkit.errors import CheckpointError, printable_lines
from flowkit.recipe import build, read_recipe_text

WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "name", nargs="?", help="print the card of this model: training data, commands, scores"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the list, or the card.

    Raises:
        CheckpointError: there is no such model, or it has no card.
    """
    if args.name is None:
        for name, path in shipped_weights().items():
            print(_line(name, path))
        return 0
    card = locate(args.name).with_suffix(".md")
    if not card.is_file():
        raise CheckpointError(f"{args.name}: has no card ({card} is missing); only shipped models have one")
    print(printable_lines(card.read_text(encoding="utf-8").rstrip()))
    return 0


def _line(name: str, path: Path) -> str:
    _, metadata = read_checkpoint(path, prefix="recipe")
    recipe = read_recipe_text(metadata["recipe"], origin=str(path))
    parameters = sum(parameter.numel() for parameter in build(recipe).parameters())
    size = f"{parameters:,} parameters, {path.stat().st_size / 1e6:.1f} MB"
    about = f"{name}: {recipe.about} ({size}; trained on {len(trained_on(path))} pages)"
    return textwrap.fill(about, WIDTH, subsequent_indent="  ")
