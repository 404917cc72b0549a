"""Scores of pages, and their means for each set."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A contestant at one setting.

    Args:
        by: a model, a baseline or a folder.
        temperature: of a model's latents.
        samples: number of samples that a model drew.
    """

    by: str
    temperature: float | None = None
    samples: int | None = None

    def __str__(self) -> str:
        """Return the name, and the settings that differ between entries of one name.

        >>> str(Entry("otsu")), str(Entry("binarize", 0.5, 4))
        ('otsu', 'binarize, T 0.5, 4 samples')
        """
        parts = [self.by]
        if self.temperature is not None:
            parts.append(f"T {self.temperature:g}")
        if self.samples is not None and self.samples > 1:
            parts.append(f"{self.samples} samples")
        return ", ".join(parts)


@dataclass(frozen=True)
class Row:
    """The scores of one page. `set` and `page` are the printed names."""

    set: str
    page: str
    entry: Entry
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Summary:
    """The mean and the sample standard deviation of every score over the pages of a set.

    The deviation (n - 1 in the denominator) is None for a single page, or if a score is infinite.
    """

    set: str
    entry: Entry
    pages: int
    mean: Mapping[str, float]
    deviation: Mapping[str, float | None]


def summaries(rows: Iterable[Row]) -> list[Summary]:
    """Summarise every set and entry, in the order in which they first appear."""
    groups: dict[tuple[str, Entry], list[Mapping[str, float]]] = {}
    for row in rows:
        groups.setdefault((row.set, row.entry), []).append(row.scores)
    found = []
    for (set_name, entry), scores in groups.items():
        columns = {name: [score[name] for score in scores] for name in scores[0]}
        mean = {name: statistics.fmean(values) for name, values in columns.items()}
        found.append(
            Summary(set_name, entry, len(scores), mean, {k: _deviation(v) for k, v in columns.items()})
        )
    return found


def _deviation(values: Sequence[float]) -> float | None:
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    return statistics.stdev(values)
