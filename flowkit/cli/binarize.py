"""`flowkit binarize`: pages in, black and white pages out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from flowkit.cli.options import add_import, add_threads, natural, positive, prepare
from flowkit.errors import FlowkitError, OutputError
from flowkit.flow import ConditionalFlow
from flowkit.pages.binary import Page, binarize, check_sampling, load_binary
from flowkit.pages.reading import MAX_PIXELS
from flowkit.pages.writing import check_folder, check_output

PROBABILITY_SAMPLES = 16


class Job(NamedTuple):
    """One page: what is read, and what is written."""

    source: Path
    out: Path
    probability: Path | None


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "binarize",
        help="turn pages into black and white",
        description="Turn pages into black ink on white paper. One line per page is printed; "
        "exit status 0: done, 1: some pages failed, 2: wrong use, or the only page failed.",
    )
    parser.add_argument(
        "input", nargs="+", type=Path, metavar="IN", help="PNG, JPEG, TIFF, PDF, JPEG 2000, WebP, ..."
    )
    parser.add_argument(
        "-o", "--out", required=True, type=Path, metavar="OUT",
        help="one input: the file to write, .png, .tif, .pdf, .webp or .jp2; "
        "several: a folder, made if it is not there, which gets <name of the input>.png",
    )  # fmt: skip
    parser.add_argument(
        "--model",
        default="binarize",
        metavar="M",
        help="a model that ships with flowkit, or a checkpoint (%(default)s)",
    )
    parser.add_argument(
        "--temperature", type=float, metavar="T",
        help="0: the model's central image; 1: samples as the model believes them "
        "(default: 0, or 1 with several samples)",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=positive, metavar="N",
        help=f"draw N samples; ink is what half of them call ink (default: 1, or {PROBABILITY_SAMPLES} "
        "with --probability)",
    )  # fmt: skip
    parser.add_argument("--seed", type=natural, default=0, metavar="S", help="of the samples (%(default)s)")
    parser.add_argument(
        "--probability", type=Path, metavar="MAP",
        help="also write P(ink) as 8-bit grey: 0 paper for certain, 255 ink for certain; "
        "a .png or .tif, or a folder where OUT is one",
    )  # fmt: skip
    parser.add_argument(
        "--tile", type=positive, metavar="N",
        help="work on N x N pixels at a time: less memory, more time, the same result "
        "(default: what 2 GB allow)",
    )  # fmt: skip
    parser.add_argument(
        "--max-pixels",
        type=positive,
        default=MAX_PIXELS,
        metavar="N",
        help="refuse larger images (%(default)s)",
    )
    add_import(parser)
    add_threads(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Binarize every input; 0, or 1 if some of several failed."""
    prepare(args)
    samples = args.samples or (1 if args.probability is None else PROBABILITY_SAMPLES)
    if args.probability is not None and samples == 1:
        raise FlowkitError("--probability is a share of samples: expected --samples 2 or more, got 1")
    try:
        temperature = check_sampling(args.temperature, samples, args.seed)
    except ValueError as error:
        raise FlowkitError(str(error)) from None
    jobs = _plan(args.input, args.out, args.probability)
    model = load_binary(args.model)
    for job in jobs:
        _make_folder(job.out.parent)
        if job.probability is not None:
            _make_folder(job.probability.parent)
    failed = 0
    for job in jobs:
        try:
            page = _one(job, model, args, temperature, samples)
        except FlowkitError as error:
            if len(jobs) == 1:
                raise
            failed += 1
            print(f"flowkit: {error}", file=sys.stderr)
            continue
        for note in page.notes:
            print(f"flowkit: {job.source}: {note}", file=sys.stderr)
        print(f"{job.out}: {_describe(page)}", flush=True)
    if failed:
        print(f"flowkit: {failed} of {len(jobs)} pages failed", file=sys.stderr)
    return 1 if failed else 0


def _one(
    job: Job, model: ConditionalFlow, args: argparse.Namespace, temperature: float, samples: int
) -> Page:
    # disable=None: no bar where stderr is not a terminal
    with tqdm(desc=job.source.name, unit="step", leave=False, disable=args.quiet or None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        page = binarize(
            job.source,
            model=model,
            temperature=temperature,
            samples=samples,
            seed=args.seed,
            tile=args.tile,
            max_pixels=args.max_pixels,
            progress=progress,
        )
    page.save(job.out)
    if job.probability is not None:
        page.save_probability(job.probability)
    return page


def _plan(sources: list[Path], out: Path, probability: Path | None) -> list[Job]:
    """What goes where; raises OutputError for whatever can be known to fail before the work begins."""
    if len(sources) == 1 and not out.is_dir():
        jobs = [Job(sources[0], out, probability)]
        for path in (out, probability):
            if path is not None:
                check_output(path)
    else:
        _check_stems(sources)
        for folder in (out, probability):
            if folder is not None:
                check_folder(folder if folder.exists() else folder.parent)
        jobs = [
            Job(s, out / f"{s.stem}.png", None if probability is None else probability / f"{s.stem}.png")
            for s in sources
        ]
    inputs = {source.resolve() for source in sources}
    for job in jobs:
        for path in (job.out, job.probability):
            if path is not None and path.resolve() in inputs:
                raise OutputError(f"{path}: is an input too, and would be overwritten")
        if job.probability is not None and job.probability.resolve() == job.out.resolve():
            raise OutputError(f"{job.out}: is meant for the page and for --probability")
    return jobs


def _check_stems(sources: list[Path]) -> None:
    seen: dict[str, Path] = {}
    for source in sources:
        stem = source.stem.casefold()  # some file systems do not tell A.png from a.png
        if stem in seen:
            raise OutputError(f"{seen[stem]} and {source} would both be written to {source.stem}.png")
        seen[stem] = source


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror or error})") from None


def _describe(page: Page) -> str:
    height, width = page.binary.shape
    if page.dpi is None:
        dpi = "no dpi"
    else:
        across, down = page.dpi
        dpi = f"{across:g} dpi" if across == down else f"{across:g} x {down:g} dpi"
    return f"{width} x {height}, {dpi}, {100 * page.binary.mean():.1f} % ink"
