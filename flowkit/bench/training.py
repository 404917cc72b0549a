"""Training at a recipe's own sizes: patches per second, and the share of time spent on waiting for data.

Data are pages that flowkit draws itself, prepared by worker processes as in `flowkit train`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import closing

from flowkit.bench.report import Report
from flowkit.recipe import read_recipe
from flowkit.tables import Cell
from flowkit.training.job import Job
from flowkit.training.processes import processes

PAGES = {"type": "drawn", "pages": 4, "width": 1000, "height": 800}
WARM_UP = 1  # steps that are not counted: workers start, memory is allocated


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the table."""
    parser.add_argument(
        "recipes",
        nargs="*",
        default=["binarize"],
        metavar="RECIPE",
        help="recipes to train (default: binarize)",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipes"
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that prepare data (default: by the number of cores)",
    )


def run(args: argparse.Namespace) -> Report:
    """Take `--rounds` steps of each recipe."""
    rows = [_measure(name, args) for name in args.recipes]
    notes = [f"Medians of {args.rounds} steps; waiting is the share of all time without data to train on."]
    return Report(f"training-{args.device.partition(':')[0]}", "Training", rows, notes)


def _measure(name: str, args: argparse.Namespace) -> dict[str, Cell]:
    with processes(args.device) as group:
        job = Job(read_recipe(name, args.set), [PAGES], group, workers=args.workers)
        times, waits = [], []
        with closing(job.batches(0, WARM_UP + args.rounds)) as data:
            for step in range(WARM_UP + args.rounds):
                begin = time.perf_counter()
                passes = [next(data) for _ in range(job.options.accumulate)]
                waits.append(time.perf_counter() - begin)
                job.take(step, step * job.order.per_step, passes)
                times.append(time.perf_counter() - begin)
    times, waits = times[WARM_UP:], waits[WARM_UP:]
    options = job.options
    return {
        "recipe": job.recipe.name,
        "batch": options.batch * options.accumulate,
        "patch": options.patch,
        "workers": job.workers,
        "s per step": statistics.median(times),
        "patches/s": job.order.per_step / statistics.median(times),
        "waiting": sum(waits) / sum(times),
    }
