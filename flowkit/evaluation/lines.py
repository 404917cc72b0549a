"""Scores as lines of equal width, printed as pages are done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowkit.evaluation.results import Entry, Row, Summary


class Lines:
    """A table whose rows are not known yet.

    Args:
        pages: all names that will come.
        entries: all that is scored.
    """

    def __init__(self, pages: Iterable[str], entries: Iterable[Entry]) -> None:
        self.page = max(len("mean of 999"), *map(len, pages))
        self.by = max(len(str(entry)) for entry in entries)
        self.headed = False

    def row(self, row: Row) -> str:
        """Of a page."""
        return self._line(row.page, row.entry, row.scores)

    def mean(self, summary: Summary) -> str:
        """Of a set."""
        return self._line(f"mean of {summary.pages}", summary.entry, summary.mean)

    def _line(self, name: str, entry: Entry, scores: Mapping[str, float]) -> str:
        line = self._join(name, str(entry), map(_short, scores.values()))
        if self.headed:
            return line
        self.headed = True
        return f"{self._join('page', 'by', scores)}\n{line}"

    def _join(self, name: str, by: str, cells: Iterable[str]) -> str:
        return " ".join([f"{name:<{self.page}}", f"{by:<{self.by}}", *(f"{cell:>9}" for cell in cells)])


def _short(value: float) -> str:
    """Two decimals, or two digits of what is small."""
    return f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.2g}"
