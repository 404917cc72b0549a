"""`flowkit blend`: the mean of a model's weights before and after fine-tuning."""

from __future__ import annotations

import argparse
from pathlib import Path

from flowkit.blend import blend
from flowkit.errors import FlowkitError, OutputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("first", metavar="BEFORE", help="name of a shipped model, or a checkpoint")
    parser.add_argument("second", metavar="AFTER", help="a checkpoint of the same model, trained from it")
    parser.add_argument("out", metavar="OUT.safetensors", help="the checkpoint to write")
    parser.add_argument(
        "--share",
        type=float,
        default=0.5,
        metavar="S",
        help="weight of AFTER, from 0 to 1 (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the mean, and print its path.

    Raises:
        FlowkitError: the two are not weights of one model, or the share is out of its range.
        OutputError: the name is no checkpoint's, or the file cannot be written.
    """
    if Path(args.out).suffix != ".safetensors":
        raise OutputError(f"{args.out}: a checkpoint's name must end in .safetensors")
    try:
        blend(args.first, args.second, args.out, share=args.share)
    except ValueError as error:
        raise FlowkitError(f"--{error}") from None
    print(f"{args.out}: {1 - args.share:g} {args.first} + {args.share:g} {args.second}")
    return 0
