"""What a benchmark found, and where: a table for people, and the same as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

import flowkit
from flowkit.errors import OutputError
from flowkit.files import replacing

Cell = str | int | float | None
"""None is an empty cell: not measured."""

_NUMBER = re.compile(r"-?[\d.]+( ± [\d.]+)?|inf")  # with its deviation, or not


def environment() -> dict[str, Cell]:
    """The machine, the versions and the command line: all that a figure depends on beside its row."""
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "command": shlex.join(["flowkit", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "flowkit": flowkit.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": _cores(),
        "threads": torch.get_num_threads(),
        "cuda device": cuda,
        "cuda": torch.version.cuda,
    }


@dataclass(frozen=True)
class Report:
    """Rows of one benchmark, with the environment in which it ran.

    >>> rows = [{"op": "copy", "ms": 1.5}, {"op": "add", "ms": 12.25, "note": "2 | 3"}]
    >>> print(Report("op-cpu", "The op", rows, environment={"threads": 1}).markdown())
    # The op
    <BLANKLINE>
    | op   |   ms | note   |
    |:-----|-----:|:-------|
    | copy |  1.5 |        |
    | add  | 12.2 | 2 \\| 3 |
    <BLANKLINE>
    - threads: 1
    """

    name: str
    """Of the files that `save` writes; says the device where figures of several are kept."""
    title: str
    rows: Sequence[Mapping[str, Cell]]
    """Each column's name -> its value; columns stand in the order in which they first appear."""
    notes: Sequence[str] = ()
    """What a reader has to know to understand the table, one sentence each."""
    environment: Mapping[str, Cell] = field(default_factory=environment)

    def markdown(self) -> str:
        """The report as people read it."""
        facts = [f"- {name}: {value}" for name, value in self.environment.items() if value is not None]
        parts = [f"# {self.title}", "\n".join(table(self.rows)), *self.notes, "\n".join(facts)]
        return "\n\n".join(part for part in parts if part)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write `<name>.json` and `<name>.md`; each is whole or not there.

        Raises:
            OutputError: the folder or a file cannot be written.
        """
        values = {
            "name": self.name,
            "title": self.title,
            "environment": dict(self.environment),
            "notes": list(self.notes),
            "rows": [dict(row) for row in self.rows],
        }
        texts = {".json": json.dumps(values, indent=1, allow_nan=False), ".md": self.markdown()}
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made ({error.strerror})") from None
        paths = []
        for suffix, text in texts.items():
            paths.append(Path(folder) / f"{self.name}{suffix}")
            with replacing(paths[-1]) as draft:
                draft.write_text(text + "\n")
        return paths


def table(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """The lines of a Markdown table; columns of numbers, or of texts that are numbers, stand to the right."""
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
    """Three digits are what a timing is good for."""
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


def _cores() -> int | None:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()
