"""`flowkit bench`: tables of speed and memory that any user can have for their own machine.

A table is a module of `flowkit.bench` with `add_arguments(parser)` and `run(args) -> Report`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util

from flowkit.cli.options import add_device, add_threads, positive, prepare
from flowkit.device import usable
from flowkit.malloc import keep_freed_memory

TABLES = ("op", "model", "compiled", "parts", "training", "pages")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb, and each table that is there."""
    parser = subparsers.add_parser("bench", help="measure speed and memory on this machine")
    tables = parser.add_subparsers(title="tables", metavar="TABLE", required=True)
    for name in TABLES:
        if importlib.util.find_spec(f"flowkit.bench.{name}") is not None:
            _add_table(tables, name)


def _add_table(tables: argparse._SubParsersAction[argparse.ArgumentParser], name: str) -> None:
    module = importlib.import_module(f"flowkit.bench.{name}")
    about = (module.__doc__ or "").partition("\n")[0].rstrip(".")
    parser = tables.add_parser(name, help=about, description=about)
    add_device(parser)
    add_threads(parser)
    parser.add_argument(
        "--rounds", type=positive, default=15, metavar="N", help="times that each is measured (%(default)s)"
    )
    parser.add_argument("--out", "-o", metavar="DIR", help="also write <name>.json and <name>.md there")
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
