"""`flowkit show`: a recipe as it will be built, what it extends and the overrides merged in."""

from __future__ import annotations

import argparse

from flowkit.recipe import import_modules, read_recipe


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = subparsers.add_parser("show", help="print a recipe, resolved")
    parser.add_argument("recipe", help="a recipe file, or the name of one that ships with flowkit")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument(
        "--import",
        action="append",
        default=[],
        dest="modules",
        metavar="MODULE",
        help="trust and load layers",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the text that checkpoints of this recipe carry."""
    import_modules(args.modules)
    print(read_recipe(args.recipe, args.set).text(), end="")
    return 0
