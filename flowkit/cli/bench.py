"""`flowkit bench`: tables of speed and memory that any user can have for their own machine.

A table is a module of `flowkit.bench` with `add_arguments(parser)` and `run(args) -> Report`.
"""

from __future__ import annotations

import argparse
import functools
import importlib

from flowkit.cli.lazy import LazyParser
from flowkit.cli.options import add_device, add_threads, positive, prepare
from flowkit.device import usable
from flowkit.malloc import keep_freed_memory

TABLES = {
    "op": "the affine op: plain torch, torch.compile and the compiled kernels, side by side",
    "model": "whole models: samples, densities, training steps and memory, compared with published code",
    "compiled": "whole models through `torch.compile`, the affine op in plain torch and in compiled kernels",
    "parts": "a model's time by the kind of operation, and how long a GPU waits for its launches",
    "training": "training at a recipe's own sizes: patches per second, and the share of time spent waiting",
    "pages": "whole pages and batches of them: seconds per megapixel and peak memory, beside other programs",
}
"""Each table and its line in `flowkit bench --help`; a table is the module of its name in `flowkit.bench`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the tables."""
    tables = parser.add_subparsers(title="tables", metavar="TABLE", required=True, parser_class=LazyParser)
    for name, about in TABLES.items():
        tables.add_parser(
            name, help=about, description=about, declare=functools.partial(_add_arguments, name)
        )


def _add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    module = importlib.import_module(f"flowkit.bench.{name}")
    add_device(parser)
    add_threads(parser)
    parser.add_argument(
        "--rounds",
        type=positive,
        default=15,
        metavar="N",
        help="measurements of each variant (default: %(default)s)",
    )
    parser.add_argument(
        "--out", "-o", metavar="DIR", help="also write the table to DIR, as JSON and Markdown"
    )
    module.add_arguments(parser)  # last, so that it can set other defaults
    # what a table measures in processes of its own, it does as this one does
    parser.set_defaults(run=run, table=module.run, as_a_verb=keep_freed_memory)


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, and write it if a folder was named."""
    prepare(args)
    usable(args.device)
    report = args.table(args)
    print(report.markdown())
    if args.out is not None:
        for path in report.save(args.out):
            print(f"{path}: written")
    return 0
