"""`flowkit binarize`: pages in, black and white pages out."""

from __future__ import annotations

import argparse

from flowkit.batch import Binarize
from flowkit.cli.options import positive
from flowkit.cli.pages import (
    add_places,
    add_run,
    add_save_samples,
    add_temperature,
    add_view,
    run_batch,
    shared,
)
from flowkit.images.writer import SUFFIXES

SAMPLES = 16
"""Default number of samples for results that need samples."""

_MAPS = ("probability", "uncertainty", "components", "readings")
_FROM_SAMPLES = (*_MAPS, "save_samples", "html", "threshold")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.description = (
        "Turn pages into black ink on white paper. One line per page is printed; "
        "exit status 0: done, 1: some pages failed, 2: wrong usage, or the only page failed."
    )
    add_places(parser, SUFFIXES)
    parser.add_argument(
        "--model", default="binarize", metavar="M",
        help="name of a shipped model, or a checkpoint (default: %(default)s)",
    )  # fmt: skip
    decision = parser.add_mutually_exclusive_group()
    decision.add_argument(
        "--decision", choices=("mode", "mean"),
        help="decide between ink and paper by the image at temperature 0 (mode, the default for one sample) "
        "or by at least half of the samples (mean, the default for several)",
    )  # fmt: skip
    decision.add_argument(
        "--threshold", type=float, metavar="P", help="count a pixel as ink if P(ink) >= P in the samples"
    )
    add_temperature(parser)
    parser.add_argument(
        "--samples", type=positive, metavar="N",
        help=f"number of samples (default: 1, or {SAMPLES} with --probability, --uncertainty, "
        "--components, --readings, --save-samples, --threshold, --decision mean or --html)",
    )  # fmt: skip
    parser.add_argument(
        "--probability", metavar="MAP",
        help="also write P(ink) as grey: black is certain paper, white certain ink; a .png or .tif file, or "
        "a folder if OUT is one",
    )  # fmt: skip
    parser.add_argument(
        "--bits",
        type=int,
        choices=(8, 16),
        default=8,
        help="bits per pixel of --probability (default: %(default)s)",
    )
    parser.add_argument(
        "--uncertainty", metavar="MAP",
        help="also write the entropy of P(ink) as a heat map, from black (0 bits) to white (1 bit); file or "
        "folder as for --probability",
    )  # fmt: skip
    parser.add_argument(
        "--components", metavar="TABLE",
        help="also write the connected pieces of ink of all samples, and the P(ink) of each: a .json "
        "file, or a folder if OUT is one",
    )  # fmt: skip
    parser.add_argument(
        "--readings", metavar="TABLE",
        help="also write what Tesseract reads in the samples: for each word, the share of samples in which "
        "it is read so; file or folder as for --components; needs --ocr",
    )  # fmt: skip
    parser.add_argument(
        "--ocr", metavar="LANG",
        help="language of --readings, as Tesseract names it: eng, deu, Fraktur, eng+deu, ...",
    )  # fmt: skip
    parser.add_argument(
        "--likelihood", action="store_true",
        help="also compute bits per pixel of every result, for the report; takes about as long as the rest",
    )  # fmt: skip
    add_view(parser)
    add_save_samples(parser)
    add_run(parser)
    parser.set_defaults(run=binarize)


def binarize(args: argparse.Namespace) -> int:
    """Binarize every input."""
    many = args.decision == "mean" or any(getattr(args, name) not in (None, False) for name in _FROM_SAMPLES)
    args.samples = args.samples or (SAMPLES if many else 1)
    task = Binarize(
        **shared(args),
        decision=args.threshold if args.threshold is not None else args.decision,
        bits=args.bits,
        ocr=args.ocr,
        likelihood=args.likelihood,
        scale=args.scale,
        invert=args.invert,
    )
    maps = {kind: getattr(args, kind) for kind in _MAPS}
    return run_batch(args, task, maps={kind: place for kind, place in maps.items() if place is not None})
