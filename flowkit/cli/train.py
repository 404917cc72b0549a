"""`flowkit train`: a recipe and a folder of pages become a model."""

from __future__ import annotations

import argparse

import torch

from flowkit.recipe import import_modules, read_recipe
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
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument("--import", action="append", default=[], dest="modules", metavar="MODULE")
    parser.add_argument("--device", default="cpu", help="where to compute: cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, and say where the model is."""
    import_modules(args.modules)
    if args.threads:
        torch.set_num_threads(args.threads)
    recipe = read_recipe(args.recipe, args.set)
    train(recipe, args.data, args.out, resume=args.resume, device=args.device, quiet=args.quiet)
    print(f"{args.out}/{MODEL}: {recipe.name}, {recipe.train.steps} steps")
    return 0
