"""`flowkit evaluate`: scores of models and baselines on pages with truth."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from flowkit.cli.options import add_import, add_threads, natural, positive, prepare
from flowkit.errors import FlowkitError, OutputError, printable, printable_lines
from flowkit.evaluation.clean_pages import CleanPages
from flowkit.evaluation.ink import InkEvaluation
from flowkit.evaluation.lines import Lines
from flowkit.evaluation.low_resolution import KINDS, PLAIN
from flowkit.evaluation.plan import DATA, YEAR, Wanted, enlarges
from flowkit.evaluation.protocols import PROTOCOLS
from flowkit.evaluation.reading import Reader, Reading
from flowkit.evaluation.results import summaries
from flowkit.evaluation.super_resolution import SuperResolution
from flowkit.evaluation.task import Evaluation
from flowkit.images.writer import check_folder

T = TypeVar("T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.description = (
        "Score binarizations against the truth or, for a super-resolution model, enlarged images "
        "against the originals. docs/reference/scores.md defines all scores."
    )
    parser.add_argument(
        "model",
        help="name of a shipped model, a checkpoint, a folder of images made elsewhere, or a baseline; with "
        f"--protocol loyo a checkpoint for each year, as a name with {YEAR}",
    )
    parser.add_argument(
        "--data", nargs="+", metavar="SET",
        help="folders with `img` and `gt`, at any depth (images alone for super-resolution and --ocr); with "
        f"--protocol the folder of all sets (default: the environment variable {DATA})",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", choices=sorted(PROTOCOLS),
        help="score the test sets of a protocol: fix, one model for six years; loyo, a model for each year",
    )  # fmt: skip
    parser.add_argument(
        "--baselines", type=_listed(str), default=(), metavar="NAME,...",
        help="also score these: otsu; sauvola, wolf, su, ... of doxapy; folders of images made elsewhere",
    )  # fmt: skip
    parser.add_argument(
        "--temperatures", type=_listed(_temperature), metavar="T,...",
        help="temperatures of the samples (default: 0, and 1 with several samples)",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=_listed(positive), metavar="N,...",
        help="samples per page; ink is decided by majority vote, P(ink) is the fraction (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="S", help="seed of the samples (default: %(default)s)"
    )
    parser.add_argument(
        "--scales", type=_listed(_scale), default=(1.0,), metavar="S,...",
        help="score every page at these multiples of its resolution, such as 0.5,1,2 (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--low", type=_listed(str), default=(PLAIN,), metavar="KIND,...",
        help=f"for super-resolution: kinds of low resolution to enlarge: {', '.join(KINDS)} "
        f"(default: {PLAIN})",
    )  # fmt: skip
    parser.add_argument(
        "--head", metavar="FILE",
        help="also score a classifier: a checkpoint of the same recipe, trained by cross-entropy",
    )  # fmt: skip
    parser.add_argument(
        "--head-data", nargs="+", metavar="SET",
        help="pages on which the classifier's temperature is fitted, except those that it was trained on "
        "(default: the protocol's training sets)",
    )  # fmt: skip
    parser.add_argument(
        "--ssn", metavar="FILE",
        help="also score samples of a Stochastic Segmentation Network, as "
        "flowkit.evaluation.ssn_baseline.save_ssn writes it",
    )  # fmt: skip
    parser.add_argument(
        "--ensemble", nargs="+", default=(), metavar="FILE",
        help="also score these checkpoints as one model: samples are drawn from each in turn",
    )  # fmt: skip
    parser.add_argument(
        "--ocr", metavar="LANG",
        help="compute Tesseract's character error rates against the .txt beside each image, in this language "
        "(eng, deu, frk, ...); for super-resolution beside the other scores, otherwise instead of them",
    )  # fmt: skip
    parser.add_argument(
        "--psm", type=natural, default=3, metavar="N",
        help="Tesseract's page segmentation mode: 3 (default) for pages, 7 for single lines",
    )  # fmt: skip
    parser.add_argument(
        "--clean", action="store_true",
        help="score `flowkit clean` against grey truths or, with --ocr, texts, beside the page, its ink in 1 "
        "bit, and the page divided by its paper",
    )  # fmt: skip
    parser.add_argument(
        "--drawn", type=positive, default=0, metavar="N",
        help="with --clean and --ocr: also score N drawn and degraded pages of print, seeded from --seed",
    )  # fmt: skip
    parser.add_argument(
        "--focus", choices=("ink",),
        help="for super-resolution: also score the pixels near ink separately",
    )  # fmt: skip
    parser.add_argument(
        "--ink-model", default="binarize", metavar="M",
        help="model of --focus: name of a shipped model, or a checkpoint (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-train", action="store_true", help="also score pages that the model was trained on"
    )
    parser.add_argument(
        "--out", "-o", type=Path, metavar="DIR",
        help="write DIR/results.md, and JSON, CSV and pictures to DIR/results",
    )  # fmt: skip
    add_import(parser)
    add_threads(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the scores of every page, then those of the sets; write them if a folder was named."""
    prepare(args)
    if args.out is not None:
        _make(args.out)
    evaluation = _evaluation(args)
    _print(evaluation, args.quiet)
    findings = evaluation.findings()
    for note in findings.notes:
        print(printable_lines(note))
    if args.out is not None:
        for path in findings.save(args.out):
            print(f"{path}: written")
    return 0


def _evaluation(args: argparse.Namespace) -> Evaluation:
    wanted = Wanted(**{field.name: getattr(args, field.name) for field in fields(Wanted)})
    if tuple(wanted.low) != (PLAIN,) and (args.clean or not enlarges(wanted)):
        raise FlowkitError("--low is for super-resolution, and this evaluation enlarges nothing")
    reader = None if args.ocr is None else Reader(args.ocr, args.psm)
    if args.clean:
        return CleanPages(wanted, reader, drawn=args.drawn, allow_train=args.allow_train)
    if args.drawn:
        raise FlowkitError("--drawn is for --clean")
    if enlarges(wanted):
        return SuperResolution(wanted, args.allow_train, reader)
    if reader is not None:
        return Reading(wanted, reader, args.allow_train)
    return InkEvaluation(wanted, args.allow_train)


def _print(evaluation: Evaluation, quiet: bool) -> None:
    jobs = evaluation.jobs()
    lines = Lines((job.page for job in jobs), evaluation.entries, evaluation.scores)
    tqdm.write(lines.head())
    with tqdm(total=len(jobs), unit="page", disable=quiet or None) as bar:
        for set_name, of_set in itertools.groupby(jobs, key=lambda job: job.set):
            tqdm.write(printable(set_name))
            for job in of_set:
                for row in job.score():
                    tqdm.write(printable(lines.row(row)))
                bar.update()
            for summary in summaries(row for row in evaluation.rows if row.set == set_name):
                tqdm.write(lines.mean(summary))


def _make(folder: Path) -> None:
    """Make the folder, and check that a report can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror or error})") from None
    check_folder(folder)


def _listed(read: Callable[[str], T]) -> Callable[[str], list[T]]:
    def listed(text: str) -> list[T]:
        return [read(part.strip()) for part in text.split(",")]

    listed.__name__ = f"list of {read.__name__}s"  # argparse names a converter that refuses the text
    return listed


def _scale(text: str) -> float:
    value = float(text)
    if not 0.05 <= value <= 20:
        raise argparse.ArgumentTypeError(f"expected a scale within 0.05 to 20, got {text}")
    return value


_scale.__name__ = "scale"


def _temperature(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a temperature of 0 or more, got {text}")
    return value


_temperature.__name__ = "temperature"
