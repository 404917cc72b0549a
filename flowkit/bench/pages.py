"""Whole pages: seconds per megapixel and peak memory, beside the classical methods of doxapy.

Every measurement is a process of its own, as a run of the command line would be: it reads the page from a
file, and its clock starts when everything is imported, the model is loaded and a small page is done.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from flowkit.bench.memory import process_peak
from flowkit.bench.report import Report
from flowkit.degradations.scan import drawn_pair
from flowkit.errors import FlowkitError
from flowkit.images.reader import opened
from flowkit.pages import read
from flowkit.pages.ink import binarize, load_binary
from flowkit.pages.memory import MEMORY
from flowkit.tables import Cell

PAGES = ["1240x1754", "2480x3508"]  # A4 at 150 and at 300 dpi
SAMPLES = [1, 4, 16]
CLASSICAL = ("sauvola", "su", "wolf")
MOTIF = (1240, 1754)  # of a larger page: drawn once, and repeated


class Method(NamedTuple):
    """A method to measure."""

    name: str
    samples: int = 0
    """Number of samples; 0 for the image at temperature 0, or for no model."""


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
        help="also draw N samples (default: 1 4 16)",
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
    parser.set_defaults(rounds=3)


def run(args: argparse.Namespace) -> Report:
    """Measure every method on every page.

    Raises:
        FlowkitError: a size cannot be read, or a page does not fit into the memory.
    """
    methods = [Method("temperature 0"), *(Method(f"{n} samples", n) for n in args.samples)]
    notes = [
        f"Medians of {args.rounds} rounds, each method in turn; peaks are the highest. Pages are drawn.",
        "Peak MB is resident memory of the whole process; "
        f"flowkit was allowed {args.memory / 1e6:,.0f} MB (--memory).",
    ]
    if importlib.util.find_spec("doxapy") is None:
        notes.append("The classical methods are missing: pip install doxapy")
    else:
        methods += [Method(f"doxapy {name}") for name in CLASSICAL]
        notes.append("Classical methods have doxapy's defaults and one thread.")
    rows: list[dict[str, Cell]] = []
    for size in args.pages:
        with _page(size) as page:
            rows += _measured(page, methods, args)
    return Report(f"pages-{torch.device(args.device).type}", "Whole pages", rows, notes)


def _measured(page: Path, methods: list[Method], args: argparse.Namespace) -> list[dict[str, Cell]]:
    seconds: dict[Method, list[float]] = {method: [] for method in methods}
    peaks: dict[Method, int] = dict.fromkeys(methods, 0)
    on_device = dict(peaks)
    for method in methods * args.rounds:
        clock = page.with_suffix(".json")
        found = process_peak(
            _work, str(page), tuple(method), args.model, args.memory, torch.get_num_threads(),
            args.as_a_verb, args.device, str(clock),
        )  # fmt: skip
        took, allocated = json.loads(clock.read_text())
        seconds[method].append(took)
        peaks[method] = max(peaks[method], found.peak)
        on_device[method] = max(on_device[method], allocated)
    with opened(page) as image:  # not Image.open, which warns of large ones
        width, height = image.size
    base = statistics.median(seconds[methods[0]])
    return [
        {
            "page": f"{width}x{height}",
            "method": method.name,
            "s": statistics.median(seconds[method]),
            "s/megapixel": statistics.median(seconds[method]) / (width * height / 1e6),
            "times temperature 0": statistics.median(seconds[method]) / base,
            "peak MB": peaks[method] / 1e6,
            **({"peak MB on the device": on_device[method] / 1e6} if args.device != "cpu" else {}),
        }
        for method in methods
    ]


@contextmanager
def _page(size: str) -> Iterator[Path]:
    """Write a drawn page of this size into a file."""
    try:
        width, height = (int(side) for side in size.split("x"))
    except ValueError:
        width = height = 0
    if width < 1 or height < 1:
        raise FlowkitError(f'--pages: expected sizes such as 2480x3508, got "{size}"')
    motif, _ = drawn_pair(np.random.default_rng(0), min(height, MOTIF[1]), min(width, MOTIF[0]))
    repeats = (-(-height // len(motif)), -(-width // motif.shape[1]), 1)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.png"
        Image.fromarray(np.tile(motif, repeats)[:height, :width]).save(page, compress_level=1)
        yield page


def _work(
    page: str,
    method: tuple[str, int],
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
    act(np.zeros((64, 64, 3), np.uint8))
    begin = time.perf_counter()
    act(page)
    took = time.perf_counter() - begin
    gpu = torch.device(device).type == "cuda"
    allocated = torch.cuda.max_memory_allocated(device) if gpu else 0
    Path(clock).write_text(json.dumps([took, allocated]))


def _action(method: Method, model: str, memory: int, device: str) -> Callable[[Any], object]:
    if method.name.startswith("doxapy"):
        return lambda page: _classical(method.name.partition(" ")[2], page)
    flow, count = load_binary(model).to(device), method.samples
    if not count:
        return lambda page: binarize(page, model=flow, memory=memory)
    return lambda page: binarize(page, model=flow, memory=memory, samples=count, temperature=1.0)


def _classical(name: str, page: Any) -> NDArray[np.uint8]:
    doxapy: Any = importlib.import_module("doxapy")
    picture = read(page)
    height, width = picture.size
    grey = picture.window(slice(0, height), slice(0, width), 1)[0, 0]
    levels = (255 * grey).round().to(torch.uint8).numpy()
    method = doxapy.Binarization(getattr(doxapy.Binarization.Algorithms, name.upper()))
    method.initialize(levels)
    out = np.empty_like(levels)
    method.to_binary(out, {})
    return out
