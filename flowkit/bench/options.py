"""Options that several tables share."""

from __future__ import annotations

import argparse
from typing import get_args

import torch

from flowkit.pages.precision import Precision


def add_recipes(parser: argparse.ArgumentParser) -> None:
    """Add the options for recipes and changes to them."""
    parser.add_argument(
        "recipes",
        nargs="*",
        default=["srflow_x4", "binarize"],
        metavar="RECIPE",
        help="recipes (default: srflow_x4 binarize)",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipes"
    )
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="float32",
        help="precision of what depends on the image alone; the rest stays float32 (default: %(default)s)",
    )


def autocast(args: argparse.Namespace) -> torch.autocast:
    """Return the context for a forward pass in the precision of the options, as in training."""
    device = torch.device(args.device)
    return torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bfloat16")


def numbers(args: argparse.Namespace) -> str:
    """Describe the precision, for a table's notes."""
    if args.precision == "float32":
        return "float32"
    return f"{args.precision} for what the image alone decides, float32 for what sees the latents"


def table_name(table: str, args: argparse.Namespace) -> str:
    """Return the name of a table's files, which contains device and precision."""
    low = "" if args.precision == "float32" else f"-{args.precision}"
    return f"{table}-{torch.device(args.device).type}{low}"


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Add the options for one number of samples and one batch size."""
    parser.add_argument(
        "--samples", type=count, default=16, metavar="N", help="samples of one image (default: %(default)s)"
    )
    parser.add_argument(
        "--batch", type=count, default=4, metavar="N", help="pairs in a step (default: %(default)s)"
    )


def count(text: str) -> int:
    """Read a whole number from 1.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)
