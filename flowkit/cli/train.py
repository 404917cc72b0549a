"""`flowkit train`: training of a recipe on folders of pages."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from pathlib import Path

from flowkit.cli.options import add_device, add_extends, add_import, add_set, add_threads, natural, prepare
from flowkit.recipe import read_recipe
from flowkit.training import train
from flowkit.training.dry_run import plan
from flowkit.training.job import Job
from flowkit.training.processes import processes
from flowkit.training.state import MODEL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("recipe", help="a recipe file, or the name of a shipped recipe")
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="DATA",
        help="folders of training pages, or data files (YAML)",
    )
    parser.add_argument(
        "--validation",
        nargs="+",
        metavar="DATA",
        help="validation pages: a share of the pages (such as 0.1), or other folders and data files",
    )
    parser.add_argument(
        "--out", "-o", required=True, metavar="RUN", help="a new folder for checkpoints and log"
    )
    parser.add_argument(
        "--init",
        metavar="FILE",
        help="initial weights: a checkpoint of the same model, a shipped model, or weights of an RRDB",
    )
    parser.add_argument("--resume", action="store_true", help="resume from the last checkpoint in RUN")
    parser.add_argument(
        "--dry-run", action="store_true", help="take three steps, print the plan, write nothing"
    )
    add_set(parser)
    add_extends(parser)
    add_import(parser)
    add_device(parser)
    parser.add_argument(
        "--workers",
        type=natural,
        metavar="N",
        help="processes that prepare data (default: by the number of cores)",
    )
    add_threads(parser)
    parser.add_argument("--tensorboard", action="store_true", help="also write TensorBoard's files into RUN")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, and print the path of the model; or print the plan."""
    prepare(args)
    recipe = read_recipe(args.recipe, args.set, extends_anywhere=args.extends_anywhere)
    common = {"validation": _validation(args.validation), "init": args.init, "workers": args.workers}
    first = os.environ.get("RANK", "0") == "0"
    if args.dry_run:
        with processes(args.device) as group:
            text = plan(Job(recipe, args.data, group, **common), Path(args.out))
    else:
        train(
            recipe,
            args.data,
            args.out,
            resume=args.resume,
            device=args.device,
            tensorboard=args.tensorboard,
            quiet=args.quiet,
            **common,
        )
        text = f"{args.out}/{MODEL}: {recipe.name}, {recipe.train.steps} steps"
    if first:
        print(text)
    return 0


def _validation(given: list[str] | None) -> float | list[str] | None:
    """Return a share, if a single number was given."""
    if given is not None and len(given) == 1:
        with suppress(ValueError):
            return float(given[0])
    return given
