"""Options that several tables have."""

from __future__ import annotations

import argparse


def add_recipes(parser: argparse.ArgumentParser) -> None:
    """Whole models: which, and what is changed of their recipes."""
    parser.add_argument(
        "recipes", nargs="*", default=["srflow_x4", "binarize"], metavar="RECIPE", help="(%(default)s)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipes")


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """One number of samples, and one batch."""
    parser.add_argument("--samples", type=count, default=16, metavar="N", help="of one image (%(default)s)")
    parser.add_argument("--batch", type=count, default=4, metavar="N", help="pairs in a step (%(default)s)")


def count(text: str) -> int:
    """A whole number from 1.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)
