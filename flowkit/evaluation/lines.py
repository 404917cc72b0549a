"""Scores as lines of equal width, printed page by page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flowkit.evaluation.results import Entry, Row, Summary


class Lines:
    """A table whose rows are not known in advance.

    Args:
        pages: the names of all pages.
        entries: all entries that are scored.
        scores: the columns; an entry may lack some.
    """

    def __init__(self, pages: Iterable[str], entries: Iterable[Entry], scores: Sequence[str]) -> None:
        self.scores = scores
        self.page = max(len("mean of 999"), *map(len, pages))
        self.by = max(len(str(entry)) for entry in entries)

    def head(self) -> str:
        """Return the names of the columns."""
        return self._join("page", "by", self.scores)

    def row(self, row: Row) -> str:
        """Return the line of a page."""
        return self._line(row.page, row.entry, row.scores)

    def mean(self, summary: Summary) -> str:
        """Return the line of a set."""
        return self._line(f"mean of {summary.pages}", summary.entry, summary.mean)

    def _line(self, name: str, entry: Entry, scores: Mapping[str, float]) -> str:
        return self._join(name, str(entry), (_short(scores.get(key)) for key in self.scores))

    def _join(self, name: str, by: str, cells: Iterable[str]) -> str:
        return " ".join([f"{name:<{self.page}}", f"{by:<{self.by}}", *(f"{cell:>11}" for cell in cells)])


def _short(value: float | None) -> str:
    """Format with two decimals, or with two digits if small."""
    if value is None:
        return ""
    return f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.2g}"
