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
from flowkit.errors import OutputError
from flowkit.evaluation.ink import InkEvaluation
from flowkit.evaluation.lines import Lines
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
        "Score binarizations against the truth or, for a model that super-resolves, what it "
        "makes of reduced images against the images. All scores are defined in docs/reference/scores.md."
    )
    parser.add_argument(
        "model",
        help="a model that ships with flowkit, a checkpoint, a folder of images made elsewhere, or a "
        f"baseline; with --protocol loyo a checkpoint for each year, {YEAR} standing for it",
    )
    parser.add_argument(
        "--data", nargs="+", metavar="SET",
        help="folders with `img` and `gt`, at any depth (images alone for super-resolution and --ocr); with "
        f"--protocol the folder that has all sets (default: the environment's {DATA})",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", choices=sorted(PROTOCOLS),
        help="the test sets of a protocol: fix, one model for six years; loyo, a model for each year",
    )  # fmt: skip
    parser.add_argument(
        "--baselines", type=_listed(str), default=(), metavar="NAME,...",
        help="score these, too: otsu; sauvola, wolf, su, ... of doxapy; folders of images made elsewhere",
    )  # fmt: skip
    parser.add_argument(
        "--temperatures", type=_listed(_temperature), metavar="T,...",
        help="of samples (default: 0, and 1 with several samples)",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=_listed(positive), metavar="N,...",
        help="how many samples a page is the majority of, and P(ink) the share of (default: 1)",
    )  # fmt: skip
    parser.add_argument("--seed", type=natural, default=0, metavar="S", help="of the samples (%(default)s)")
    parser.add_argument(
        "--head", metavar="FILE",
        help="a checkpoint of the same recipe, trained by cross-entropy: calibrated, it stands beside",
    )  # fmt: skip
    parser.add_argument(
        "--head-data", nargs="+", metavar="SET",
        help="its temperature is fitted on those of these pages that it was not trained on (default: on "
        "those of the protocol's training sets)",
    )  # fmt: skip
    parser.add_argument(
        "--ocr", metavar="LANG",
        help="character error rates instead, against the .txt beside each image: Tesseract's name of the "
        "language (eng, deu, frk, ...); beside the other scores for a model that super-resolves",
    )  # fmt: skip
    parser.add_argument(
        "--psm", type=natural, default=3, metavar="N",
        help="Tesseract's page segmentation mode: 3 (default) for pages, 7 for single lines",
    )  # fmt: skip
    parser.add_argument(
        "--focus", choices=("ink",),
        help="for a model that super-resolves: score what is near the ink of the image by itself, too",
    )  # fmt: skip
    parser.add_argument(
        "--ink-model", default="binarize", metavar="M",
        help="of --focus: a model that ships with flowkit, or a checkpoint (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-train", action="store_true", help="score pages that the model was trained on, too"
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
        print(note)
    if args.out is not None:
        for path in findings.save(args.out):
            print(f"{path}: written")
    return 0


def _evaluation(args: argparse.Namespace) -> Evaluation:
    wanted = Wanted(**{field.name: getattr(args, field.name) for field in fields(Wanted)})
    reader = None if args.ocr is None else Reader(args.ocr, args.psm)
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
            tqdm.write(set_name)
            for job in of_set:
                for row in job.score():
                    tqdm.write(lines.row(row))
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


def _temperature(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a temperature of 0 or more, got {text}")
    return value


_temperature.__name__ = "temperature"
