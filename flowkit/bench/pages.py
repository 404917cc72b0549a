"""Whole pages: seconds per megapixel, pages per hour and peak memory, beside what a user would pick instead.

Every measurement is a process of its own, as a run of the command line would be. For one page it reads the
page from a file, and its clock starts when everything is imported, the model is loaded and a small page is
done. For a batch the clock starts before the process does: what a command takes, its start included.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import runpy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from flowkit.bench import rivals
from flowkit.bench.memory import process_peak
from flowkit.bench.options import count
from flowkit.bench.report import Report
from flowkit.degradations.scan import drawn_pair
from flowkit.errors import FlowkitError
from flowkit.images.reader import opened
from flowkit.pages.ink import binarize, load_binary
from flowkit.pages.memory import MEMORY
from flowkit.pages.upscaling import load_continuous, upscale
from flowkit.tables import Cell

PAGES = ["1240x1754", "2480x3508"]  # A4 at 150 and at 300 dpi
SAMPLES = [16]
SMALL = ["600x800"]  # for enlarging, which takes forty times as long
MOTIF = (1240, 1754)  # of a larger page: drawn once, and repeated
DRAWN = 8  # pages of a batch; the others are the same again
AT_ZERO = "temperature 0"
UPSCALE = "upscale x4, temperature 0"


class Method(NamedTuple):
    """A method to measure."""

    name: str
    samples: int = 0
    """Number of samples; 0 for the image at temperature 0, or for no model."""
    pages: int = 1
    jobs: str | None = None
    """Number of processes for a batch of pages, as the command line has it; None for a single page."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the pages and methods."""
    parser.add_argument(
        "--pages",
        nargs="+",
        default=PAGES,
        metavar="WxH",
        help=f"sizes in pixels (default: {' '.join(PAGES)})",
    )
    parser.add_argument(
        "--samples", nargs="*", type=int, default=SAMPLES, metavar="N",
        help="also draw N samples (default: 16)",
    )  # fmt: skip
    parser.add_argument(
        "--upscale", nargs="*", default=SMALL, metavar="WxH",
        help=f"enlarge pages of these sizes 4 times (default: {' '.join(SMALL)})",
    )  # fmt: skip
    parser.add_argument(
        "--batch", nargs="*", type=count, default=[], metavar="N",
        help="also binarize N pages of each size by one command (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", nargs="+", type=_jobs, default=["1"], metavar="J",
        help="with so many jobs; a number, or auto (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--model",
        default="binarize",
        metavar="M",
        help="a shipped model, or a checkpoint (default: %(default)s)",
    )
    parser.add_argument(
        "--memory",
        type=int,
        default=MEMORY,
        metavar="BYTES",
        help="memory limit of each process (default: %(default)s)",
    )
    parser.set_defaults(rounds=1)


def _jobs(text: str) -> str:
    return text if text == "auto" else str(count(text))


def run(args: argparse.Namespace) -> Report:
    """Measure every method on every page.

    Raises:
        FlowkitError: a size cannot be read, or a page does not fit into the memory.
    """
    others, missing = rivals.found()
    alone = [Method(AT_ZERO), *(Method(f"{n} samples", n) for n in args.samples), *map(Method, others)]
    batches = [Method(_called(n, jobs), 0, n, jobs) for n in args.batch for jobs in args.jobs]
    notes = [
        f"Medians of {args.rounds} rounds, each method in turn; peaks are the highest. Pages are drawn.",
        "Peak MB is resident memory of the whole process, without those that it starts; "
        f"flowkit was allowed {args.memory / 1e6:,.0f} MB (--memory).",
    ]
    if others:
        notes.append("Other programs have their defaults; unpaper neither moves nor crops the page.")
    notes += [f"{note}." for note in missing]
    if batches:
        notes.append("Batches of pages are whole commands: the time contains their start.")
    rows: list[dict[str, Cell]] = []
    for methods, sizes in ((alone + batches, args.pages), ([Method(UPSCALE)], args.upscale)):
        for size in sizes:
            with _page(size) as page:
                rows += _measured(page, methods, args)
    return Report(f"pages-{torch.device(args.device).type}", "Whole pages", rows, notes)


def _called(pages: int, jobs: str) -> str:
    return f"{pages} page{'' if pages == 1 else 's'}, {jobs} job{'' if jobs == '1' else 's'}"


def _measured(page: Path, methods: list[Method], args: argparse.Namespace) -> list[dict[str, Cell]]:
    seconds: dict[Method, list[float]] = {method: [] for method in methods}
    peaks: dict[Method, int] = dict.fromkeys(methods, 0)
    on_device = dict(peaks)
    for method in methods * args.rounds:
        clock = page.with_suffix(".json")
        if method.jobs is not None:
            took, peak, allocated = *_batch(page, method, args), 0
        else:
            found = process_peak(
                _work, str(page), tuple(method), args.model, args.memory, torch.get_num_threads(),
                args.as_a_verb, args.device, str(clock),
            )  # fmt: skip
            peak = found.peak
            took, allocated = json.loads(clock.read_text())
        seconds[method].append(took)
        peaks[method] = max(peaks[method], peak)
        on_device[method] = max(on_device[method], allocated)
    with opened(page) as image:  # not Image.open, which warns of large ones
        width, height = image.size
    base = statistics.median(seconds[methods[0]]) if methods[0].name == AT_ZERO else None
    rows: list[dict[str, Cell]] = []
    for method in methods:
        took = statistics.median(seconds[method])
        rows.append(
            {
                "page": f"{width}x{height}",
                "method": method.name,
                "s": took,
                "s/megapixel": took / method.pages / (width * height / 1e6),
                "pages/hour": 3600 * method.pages / took,
                "times temperature 0": base and took / method.pages / base,
                "peak MB": peaks[method] / 1e6,
                **({"peak MB on the device": on_device[method] / 1e6} if args.device != "cpu" else {}),
            }
        )
    return rows


def _batch(page: Path, method: Method, args: argparse.Namespace) -> tuple[float, int]:
    """Return the seconds and the peak of a command that binarizes so many pages, some of them alike."""
    assert method.jobs is not None
    with opened(page) as image:
        size = image.size
    with tempfile.TemporaryDirectory() as folder:
        scans = Path(folder, "scans")
        scans.mkdir()
        for number in range(method.pages):
            scan = scans / f"{number:04}.png"
            if number < DRAWN:
                _draw(scan, *size, seed=number)
            else:
                os.link(scans / f"{number % DRAWN:04}.png", scan)
        argv = ["binarize", str(scans), "-o", str(Path(folder, "ink")), "--quiet", "--jobs", method.jobs]
        argv += ["--model", args.model, "--device", args.device, "--threads", str(torch.get_num_threads())]
        if method.jobs != "auto":
            argv += ["--memory", f"{int(method.jobs) * args.memory / 1000:.3f}kB"]
        begin = time.perf_counter()
        found = process_peak(_command, argv)
        return time.perf_counter() - begin, found.peak


def _command(argv: list[str]) -> None:
    """Run a command of flowkit, as a shell would."""
    sys.argv = ["flowkit", *argv]
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            runpy.run_module("flowkit", run_name="__main__")
        except SystemExit as done:
            if done.code:
                raise


@contextlib.contextmanager
def _page(size: str) -> Iterator[Path]:
    """Write a drawn page of this size into a file."""
    try:
        width, height = (int(side) for side in size.split("x"))
    except ValueError:
        width = height = 0
    if width < 1 or height < 1:
        raise FlowkitError(f'--pages, --upscale: expected sizes such as 2480x3508, got "{size}"')
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.png"
        _draw(page, width, height)
        yield page


def _draw(path: Path, width: int, height: int, seed: int = 0) -> None:
    motif, _ = drawn_pair(np.random.default_rng(seed), min(height, MOTIF[1]), min(width, MOTIF[0]))
    repeats = (-(-height // len(motif)), -(-width // motif.shape[1]), 1)
    Image.fromarray(np.tile(motif, repeats)[:height, :width]).save(path, compress_level=1)


def _work(
    page: str,
    method: tuple[str, int, int, str | None],
    model: str,
    memory: int,
    threads: int,
    prepare: Callable[[], object],
    device: str,
    clock: str,
) -> None:
    """Process one page, in a process of its own."""
    prepare()
    torch.set_num_threads(threads)
    act = _action(Method(*method), model, memory, device)
    act(drawn_pair(np.random.default_rng(1), 64, 64)[0])
    begin = time.perf_counter()
    act(page)
    took = time.perf_counter() - begin
    gpu = torch.device(device).type == "cuda"
    allocated = torch.cuda.max_memory_allocated(device) if gpu else 0
    Path(clock).write_text(json.dumps([took, allocated]))


def _action(method: Method, model: str, memory: int, device: str) -> Callable[[Any], object]:
    if (rival := rivals.action(method.name)) is not None:
        return rival
    if method.name == UPSCALE:
        large = load_continuous("super-resolve-x4").to(device)
        return lambda page: upscale(page, model=large, memory=memory)
    flow, drawn = load_binary(model).to(device), method.samples
    if not drawn:
        return lambda page: binarize(page, model=flow, memory=memory)
    return lambda page: binarize(page, model=flow, memory=memory, samples=drawn, temperature=1.0)
