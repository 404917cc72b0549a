"""`flowkit show`: a recipe with variables, `extends` and overrides applied."""

from __future__ import annotations

import argparse

from flowkit.cli.options import add_extends, add_import, add_set, prepare
from flowkit.recipe import read_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("recipe", help="a recipe file, or the name of a shipped recipe")
    add_set(parser)
    add_extends(parser)
    add_import(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the text that checkpoints of this recipe contain."""
    prepare(args)
    print(read_recipe(args.recipe, args.set, extends_anywhere=args.extends_anywhere).text(), end="")
    return 0
