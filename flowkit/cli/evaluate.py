"""`flowkit evaluate`: models and what they have to beat, on pages whose truth is known."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from flowkit.cli.options import add_import, add_threads, natural, positive, prepare
from flowkit.data import load_pages
from flowkit.errors import OutputError
from flowkit.evaluation.ink import InkEvaluation, check
from flowkit.evaluation.lines import Lines
from flowkit.evaluation.plan import DATA, YEAR, Wanted, rounds
from flowkit.evaluation.protocols import PROTOCOLS
from flowkit.evaluation.report import Findings
from flowkit.evaluation.results import summaries
from flowkit.pages.writing import check_folder

T = TypeVar("T")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score models, and what they have to beat, on pages with truth",
        description="Score binarizations against the truth. All scores are defined in docs/evaluation.md.",
    )
    parser.add_argument(
        "model",
        help="a model that ships with flowkit, a checkpoint, a folder of images made elsewhere, or a "
        f"baseline; with --protocol loyo a checkpoint for each year, {YEAR} standing for it",
    )
    parser.add_argument(
        "--data", nargs="+", metavar="SET",
        help="folders with `img` and `gt`, at any depth; with --protocol the folder that has all sets "
        f"(default: the environment's {DATA})",
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
    wanted = Wanted(
        model=args.model,
        data=args.data,
        protocol=args.protocol,
        baselines=args.baselines,
        temperatures=args.temperatures,
        samples=args.samples,
        seed=args.seed,
        head=args.head,
        head_data=args.head_data,
    )
    findings = _ink(wanted, args.allow_train, args.quiet)
    if args.out is not None:
        for path in findings.save(args.out):
            print(f"{path}: written")
    return 0


def _ink(wanted: Wanted, allow_train: bool, quiet: bool) -> Findings:
    plan = rounds(wanted)
    for one in plan:
        check(one.sets, {} if allow_train else one.trained_on)
    names = {
        image: name for one in plan for pairs in one.sets.values() for image, name in _names(pairs).items()
    }
    entries = [entry for one in plan for contestant in one.contestants for entry in contestant.entries]
    lines = Lines(names.values(), entries)
    found = InkEvaluation()
    with tqdm(total=len(names), unit="page", disable=quiet or None) as bar:
        for one in plan:
            for set_name, pairs in one.sets.items():
                tqdm.write(set_name)
                for pair in pairs:
                    [page] = load_pages([pair])
                    for row in found.add(set_name, names[pair[0]], page, one.contestants):
                        tqdm.write(lines.row(row))
                    bar.update()
                for summary in summaries(row for row in found.rows if row.set == set_name):
                    tqdm.write(lines.mean(summary))
    of_models = [note for one in plan for note in one.notes]
    of_others = [note for one in plan for contestant in one.contestants for note in contestant.notes]
    notes = list(dict.fromkeys([*of_models, *of_others]))
    print("\n".join(notes))
    return found.findings(f"Evaluation of {wanted.model}", notes, wanted.head is not None)


def _names(pairs: Sequence[tuple[Path, Path]]) -> dict[Path, str]:
    """Images by as much of their paths as tells them apart within a set."""
    above = os.path.commonpath([image.parent for image, _ in pairs])
    return {image: str(image.relative_to(above)) for image, _ in pairs}


def _make(folder: Path) -> None:
    """Find out now whether a report can be written there."""
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
