"""`flowkit upscale`: pages in, larger pages out."""

from __future__ import annotations

import argparse
from typing import Any

from flowkit.cli.options import positive
from flowkit.cli.pages import Verb, add_places, add_run, common, described, run
from flowkit.pages.batch.work import Upscaling
from flowkit.pages.writing import PHOTO_SUFFIXES


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "upscale",
        help="make pages larger",
        description="Enlarge pages by a model's scale; their dpi are scaled with them. One line per page is "
        "printed; exit status 0: done, 1: some pages failed, 2: wrong use, or the only page failed.",
    )
    add_places(parser, PHOTO_SUFFIXES)
    parser.add_argument("--model", required=True, metavar="M", help="a checkpoint")
    parser.add_argument(
        "--temperature", type=float, metavar="T",
        help="of samples; 1: as the model believes them (default: 0, or 1 with several samples)",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=positive, default=1, metavar="N",
        help="draw N samples; the result is their mean (%(default)s)",
    )  # fmt: skip
    add_run(parser)
    parser.set_defaults(run=upscale)


def upscale(args: argparse.Namespace) -> int:
    """Enlarge every input."""
    return run(args, Verb(Upscaling(**common(args)), PHOTO_SUFFIXES, {}, described))
