"""`flowkit upscale`: pages in, larger pages out."""

from __future__ import annotations

import argparse

from flowkit.batch import Upscale
from flowkit.cli.options import positive
from flowkit.cli.pages import (
    add_places,
    add_run,
    add_save_samples,
    add_temperature,
    run_batch,
    shared,
)
from flowkit.images.writer import PHOTO_SUFFIXES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.description = (
        "Enlarge pages, and their dpi, by a model's scale. One line per page is "
        "printed; exit status 0: done, 1: some pages failed, 2: wrong usage, or the only page failed."
    )
    add_places(parser, PHOTO_SUFFIXES)
    parser.add_argument(
        "--model", default="super-resolve-x4", metavar="M",
        help="name of a shipped model, or a checkpoint (default: %(default)s)",
    )  # fmt: skip
    add_temperature(parser)
    parser.add_argument(
        "--samples", type=positive, default=1, metavar="N",
        help="number of samples; the result is their mean (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--focus", choices=("ink",),
        help="ink: enlarge by the model near ink only, and paper by bicubic interpolation, so that it gets "
        "no invented texture",
    )  # fmt: skip
    parser.add_argument("--binarize", action="store_true", help="binarize the enlarged pages")
    parser.add_argument(
        "--ink-model", default="binarize", metavar="M",
        help="model of --focus and --binarize: name of a shipped model, or a checkpoint (default: "
        "%(default)s)",
    )  # fmt: skip
    add_save_samples(parser)
    add_run(parser)
    parser.set_defaults(run=upscale)


def upscale(args: argparse.Namespace) -> int:
    """Enlarge every input."""
    ink = {"binarize": args.binarize, "ink_model": args.ink_model}
    return run_batch(args, Upscale(**shared(args), focus=args.focus is not None, **ink))
