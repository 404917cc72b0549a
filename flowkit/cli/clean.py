"""`flowkit clean`: pages in, pages with white paper out."""

from __future__ import annotations

import argparse

from flowkit.batch import Clean
from flowkit.cli.options import positive
from flowkit.cli.pages import add_places, add_run, add_temperature, add_view, run_batch, shared
from flowkit.images.writer import PHOTO_SUFFIXES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.description = (
        "Make the paper of pages white, and keep their ink and pictures in grey or colour. One line per page "
        "is printed; exit status 0: done, 1: some pages failed, 2: wrong usage, or the only page failed."
    )
    add_places(parser, PHOTO_SUFFIXES)
    parser.add_argument(
        "--model", default="binarize", metavar="M",
        help="model of ink: name of a shipped model, or a checkpoint (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=positive, default=1, metavar="N",
        help="number of samples; with several, what is paper in most of them becomes paler, and what is "
        "paper in all of them white (default: %(default)s)",
    )  # fmt: skip
    add_temperature(parser)
    parser.add_argument(
        "--no-pictures", action="store_true",
        help="keep ink only: photographs and other pictures become white, or count as ink",
    )  # fmt: skip
    add_view(parser)
    add_run(parser)
    parser.set_defaults(run=clean)


def clean(args: argparse.Namespace) -> int:
    """Clean every input."""
    task = Clean(**shared(args), scale=args.scale, invert=args.invert, pictures=not args.no_pictures)
    return run_batch(args, task)
