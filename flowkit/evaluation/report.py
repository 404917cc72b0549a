"""Results of an evaluation as files: Markdown for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from flowkit.errors import OutputError
from flowkit.evaluation.results import Entry, Row, Summary, summaries
from flowkit.files import replacing
from flowkit.tables import Cell, environment, table

NAME = "results"
"""Name of the Markdown file, and of the folder beside it for all other files."""

STEM = "evaluation"
"""First part of the names of all files in that folder, which may hold other files."""

_DECIMALS = {"nrm": 4, "mpm": 5, "ssim": 4, "text_ssim": 4, "rmse": 4}


@dataclass
class Part:
    """A further table.

    Attributes:
        title: of its section.
        rows: as of `flowkit.bench.report.Report`; floats are printed with four digits.
        about: remarks for the reader, a line each.
    """

    title: str
    rows: Sequence[Mapping[str, Cell]] = ()
    about: Sequence[str] = ()


class Picture(NamedTuple):
    """A PNG.

    Attributes:
        write: a function that writes it to a path.
        about: a description.
        shown: whether the Markdown shows it, or only names it, since users may not be free to publish their
            pages.
    """

    write: Callable[[Path], None]
    about: str
    shown: bool = True


@dataclass
class Findings:
    """The contents of a report.

    Attributes:
        title: of the page.
        rows: the scores of all pages.
        first: the entry whose pages are printed; those of the other entries are only in the files.
        parts: further tables.
        notes: on the evaluation as a whole, a paragraph each.
        pictures: by the last parts of their files' names.
        environment: the command line, the versions, the machine.
    """

    title: str
    rows: Sequence[Row]
    first: Entry
    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pictures: dict[str, Picture] = field(default_factory=dict)
    environment: Mapping[str, Cell] = field(default_factory=environment)

    def markdown(self) -> str:
        """Return the page: command, means and deviations of every set, all parts, the first entry's pages."""
        facts = dict(self.environment)
        blocks = [f"# {self.title}", f"```\n{facts.pop('command', '')}\n```"]
        blocks.append("Written by this command. Scores are defined in flowkit's docs/reference/scores.md.")
        blocks += self.notes
        blocks.append("## Sets")
        blocks.append("Mean over the pages of a set ± their sample standard deviation.")
        found = summaries(self.rows)
        for name in dict.fromkeys(summary.set for summary in found):
            of_set = [summary for summary in found if summary.set == name]
            rows = [{"by": str(s.entry), **_spread(s)} for s in of_set]
            blocks += [f"### {name}, {_pages(of_set)}", "\n".join(table(rows))]
        for part in self.parts:
            blocks += [f"## {part.title}", "\n".join(f"- {line}" for line in part.about)]
            blocks.append("\n".join(table([{k: _four(v) for k, v in row.items()} for row in part.rows])))
        pages = [
            {"page": f"{row.set}/{row.page}", **{k: _text(k, v) for k, v in row.scores.items()}}
            for row in self.rows
            if row.entry == self.first
        ]
        blocks += [
            f"## Pages, {self.first}",
            f"All others are in {NAME}/{STEM}-pages.csv.",
            "\n".join(table(pages)),
        ]
        for name, picture in self.pictures.items():
            file = f"{NAME}/{STEM}-{name}"
            blocks.append(f"![{picture.about}]({file})" if picture.shown else f"{file}: {picture.about}")
        blocks.append("\n".join(f"- {name}: {value}" for name, value in facts.items() if value is not None))
        return "\n\n".join(block for block in blocks if block) + "\n"

    def json(self) -> str:
        """Return everything as JSON; infinite scores are the text "inf", missing ones null."""
        values = {
            "title": self.title,
            "environment": dict(self.environment),
            "notes": list(self.notes),
            "sets": [
                {"set": s.set, **_entry(s.entry), "pages": s.pages, "mean": s.mean, "deviation": s.deviation}
                for s in summaries(self.rows)
            ],
            "parts": [
                {"title": p.title, "about": list(p.about), "rows": [dict(row) for row in p.rows]}
                for p in self.parts
            ],
            "pages": [
                {"set": row.set, "page": row.page, **_entry(row.entry), "scores": row.scores}
                for row in self.rows
            ],
        }
        return json.dumps(_finite(values), indent=1, allow_nan=False, ensure_ascii=False) + "\n"

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write `results.md`, and into `results/` the JSON, both CSV files and the pictures.

        Raises:
            OutputError: a folder or a file cannot be written.
        """
        inside = Path(folder) / NAME
        try:
            inside.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{inside}: cannot be made ({error.strerror or error})") from None
        by_page = [{"set": row.set, "page": row.page, **_entry(row.entry), **row.scores} for row in self.rows]
        by_set = [
            {"set": s.set, **_entry(s.entry), "pages": s.pages, **_columns(s)} for s in summaries(self.rows)
        ]
        texts = {
            inside / f"{STEM}.json": self.json(),
            inside / f"{STEM}-pages.csv": _csv(by_page),
            inside / f"{STEM}-sets.csv": _csv(by_set),
            Path(folder) / f"{NAME}.md": self.markdown(),
        }
        for path, text in texts.items():
            with replacing(path) as draft:
                draft.write_text(text, encoding="utf-8")
        pictures = {inside / f"{STEM}-{name}": picture for name, picture in self.pictures.items()}
        for path, picture in pictures.items():
            picture.write(path)
        return [*texts, *pictures]


def _pages(of_set: Sequence[Summary]) -> str:
    count = of_set[0].pages
    return f"{count} page" if count == 1 else f"{count} pages"


def _entry(entry: Entry) -> dict[str, Cell]:
    return {"by": entry.by, "temperature": entry.temperature, "samples": entry.samples}


def _spread(summary: Summary) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for name, mean in summary.mean.items():
        deviation = summary.deviation[name]
        cells[name] = _text(name, mean) + ("" if deviation is None else f" ± {_text(name, deviation)}")
    return cells


def _columns(summary: Summary) -> dict[str, float | None]:
    pairs = ((name, summary.mean[name], summary.deviation[name]) for name in summary.mean)
    return {key: value for name, mean, sd in pairs for key, value in ((name, mean), (f"{name}_sd", sd))}


def _text(name: str, value: float) -> str:
    return f"{value:.{_DECIMALS.get(name, 2)}f}"


def _four(value: Cell) -> Cell:
    """Format with four digits."""
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return None
    return f"{value:.4g}" if abs(value) >= 1e-3 or not value else f"{value:.6f}"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{value}"
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
