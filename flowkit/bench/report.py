"""Results of a benchmark with their environment, as a table and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowkit.errors import OutputError
from flowkit.files import replacing
from flowkit.tables import Cell, environment, table


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
    """Name of the files that `save` writes; it names the device if figures of several are kept."""
    title: str
    rows: Sequence[Mapping[str, Cell]]
    """Column name -> value; columns appear in the order of their first use."""
    notes: Sequence[str] = ()
    """Explanations of the table, one sentence each."""
    environment: Mapping[str, Cell] = field(default_factory=environment)

    def markdown(self) -> str:
        """Return the report as Markdown."""
        facts = [f"- {name}: {value}" for name, value in self.environment.items() if value is not None]
        parts = [f"# {self.title}", "\n".join(table(self.rows)), *self.notes, "\n".join(facts)]
        return "\n\n".join(part for part in parts if part)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write `<name>.json` and `<name>.md`, each completely or not at all.

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
