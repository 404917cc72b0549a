"""`flowkit train`: a recipe and a folder of pages become a model."""

from __future__ import annotations

import argparse

from flowkit.cli.options import add_import, add_set, add_threads, prepare
from flowkit.recipe import read_recipe
from flowkit.training import train
from flowkit.training.loop import MODEL


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = subparsers.add_parser("train", help="train a recipe's flow by maximum likelihood")
    parser.add_argument("recipe", help="a recipe file, or the name of one that ships with flowkit")
    parser.add_argument("--data", nargs="+", required=True, metavar="DIR", help="folders of training pages")
    parser.add_argument(
        "--out", "-o", required=True, metavar="RUN", help="a new folder for checkpoints and log"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in RUN")
    add_set(parser)
    add_import(parser)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu (default), cuda, cuda:1, ...")
    add_threads(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, and say where the model is."""
    prepare(args)
    recipe = read_recipe(args.recipe, args.set)
    train(recipe, args.data, args.out, resume=args.resume, device=args.device, quiet=args.quiet)
    print(f"{args.out}/{MODEL}: {recipe.name}, {recipe.train.steps} steps")
    return 0
