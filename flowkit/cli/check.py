"""`flowkit check`: errors of recipes, and the sizes of their models."""

from __future__ import annotations

import argparse

from flowkit.cli.options import add_extends, add_import, add_set, prepare
from flowkit.errors import RecipeError
from flowkit.flow import ConditionalFlow
from flowkit.recipe import build


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "recipes", nargs="+", metavar="RECIPE", help="a recipe file, or the name of a shipped recipe"
    )
    add_set(parser)
    add_extends(parser)
    add_import(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build each recipe, and print a line for each correct one.

    Raises:
        RecipeError: all problems of the others.
    """
    prepare(args)
    problems = []
    for source in args.recipes:
        try:
            model = build(source, overrides=args.set, extends_anywhere=args.extends_anywhere)
            print(f"{source}: ok, {_size(model)}", flush=True)
        except RecipeError as error:
            problems.append(str(error))
    if problems:
        raise RecipeError("\n".join(problems))
    return 0


def _size(model: ConditionalFlow) -> str:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    latents = ", ".join(f"{channels} at 1/{stride}" for channels, stride in model.latents)
    return f"{len(model.layers):,} layers, {parameters:,} parameters, latent channels {latents}"
