"""`flowkit upscale`: pages in, larger pages out."""

from __future__ import annotations

import argparse

from flowkit.batch import Upscale
from flowkit.cli.options import positive
from flowkit.cli.pages import add_places, add_run, run_batch, shared
from flowkit.images.writer import PHOTO_SUFFIXES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.description = (
        "Enlarge pages by a model's scale; their dpi are scaled with them. One line per page is "
        "printed; exit status 0: done, 1: some pages failed, 2: wrong use, or the only page failed."
    )
    add_places(parser, PHOTO_SUFFIXES)
    parser.add_argument(
        "--model", default="super-resolve-x4", metavar="M",
        help="a model that ships with flowkit, or a checkpoint (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--temperature", type=float, metavar="T",
        help="of samples; 1: as the model believes them (default: 0, or 1 with several samples)",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=positive, default=1, metavar="N",
        help="draw N samples; the result is their mean (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--focus", choices=("ink",),
        help="ink: what is far from ink is enlarged by bicubic interpolation: paper gets no texture that "
        "nobody has seen, and tiles without ink are spared the flow",
    )  # fmt: skip
    parser.add_argument(
        "--binarize", action="store_true", help="turn the enlarged pages into black and white"
    )
    parser.add_argument(
        "--ink-model", default="binarize", metavar="M",
        help="of --focus and --binarize: a model that ships with flowkit, or a checkpoint (%(default)s)",
    )  # fmt: skip
    add_run(parser)
    parser.set_defaults(run=upscale)


def upscale(args: argparse.Namespace) -> int:
    """Enlarge every input."""
    ink = {"binarize": args.binarize, "ink_model": args.ink_model}
    return run_batch(args, Upscale(**shared(args), focus=args.focus is not None, **ink))
