"""Markdown tables of figures, and the environment that figures depend on."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

import flowkit

Cell = str | int | float | None
"""A cell of a table; None is empty: not measured."""

_NUMBER = re.compile(r"-?[\d.]+( ± [\d.]+)?|inf")  # with its deviation, or not


def environment() -> dict[str, Cell]:
    """Return the machine, the versions and the command line, on which figures depend."""
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "command": shlex.join(["flowkit", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "flowkit": flowkit.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "cuda device": cuda,
        "cuda": torch.version.cuda,
    }


def table(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """Return the lines of a Markdown table; columns of numbers, also as texts, are right-aligned."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    grid = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(3, *(len(cell) for cell in cells)) for cells in zip(columns, *grid, strict=True)]
    numeric = [all(_is_number(row.get(column)) for row in rows) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = (
        "-" * (width + 1) + ":" if right else ":" + "-" * (width + 1)
        for width, right in zip(widths, numeric, strict=True)
    )
    return [line(columns), f"|{'|'.join(rule)}|", *map(line, grid)] if rows else []


def _text(value: Cell) -> str:
    """Format with three digits, the precision of a timing."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value).replace("|", r"\|")
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"


def _is_number(value: Cell) -> bool:
    return not isinstance(value, str) or _NUMBER.fullmatch(value) is not None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int | None:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()
