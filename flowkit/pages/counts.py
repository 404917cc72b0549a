"""Numbers that people count on a page, in every sample: its ink, its pieces of ink, the width of strokes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowkit.pages.runs import Ink, Runs

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """A number that was counted in each of N samples.

    Intervals are central. Were the truth one more sample, it would lie in `within_80` of 80 pages in 100, and
    between the least and the greatest of (N - 1) in (N + 1).

    Attributes:
        median: of the N numbers.
        within_50: the interval of 50 %; None where so few samples have none that is as wide, as is
            `within_95` of fewer than 39.
        within_80: that of 80 %, from 9 samples on.
        within_95: that of 95 %.
        least: the least of the numbers.
        greatest: the greatest.
    """

    median: float
    within_50: Bounds | None
    within_80: Bounds | None
    within_95: Bounds | None
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one number or more."""
        half, most, nearly_all = (interval(values, share) for share in (0.5, 0.8, 0.95))
        return cls(float(np.median(values)), half, most, nearly_all, float(min(values)), float(max(values)))


def interval(values: Sequence[float], share: float) -> Bounds | None:
    """Return the interval that holds one more value with this probability, whatever the distribution.

    It goes from the k-th smallest to the k-th largest of N values, k = (N + 1) (1 - share) / 2; between whole
    numbers k, the ends are interpolated. None if k is below 1.

    >>> interval([3, 1, 2], 0.5), interval([3, 1, 2, 9, 7], 0.5), interval([3, 1, 2], 0.8)
    ((1.0, 3.0), (1.5, 8.0), None)
    """
    count = len(values)
    k = round((count + 1) * (1 - share) / 2, 9)
    if k < 1:
        return None
    low, high = np.interp((k, count + 1 - k), np.arange(1, count + 1), sorted(values))
    return float(low), float(high)


class Counts(NamedTuple):
    """Numbers that were counted in the samples of a page."""

    ink: Spread
    """The share of its pixels that are ink."""
    components: Spread
    """The number of its 8-connected pieces of ink."""
    stroke_width: Spread
    """The mean width of its strokes in pixels; see `stroke_width`."""


def counts(samples: Iterable[Ink]) -> Counts:
    """Count in samples (H, W) of a page, one at a time."""
    rows = []
    for ink in samples:
        runs = Runs.of(ink)
        number = int(runs.components().max(initial=-1)) + 1
        rows.append((runs.area() / max(1, ink.size), number, _width(runs)))
    return Counts(*(Spread.of(column) for column in zip(*rows, strict=True)))


def stroke_width(ink: Ink) -> float:
    """Return the mean width of strokes in pixels, 2 area / contour; 0 without ink.

    A stroke that is much longer than wide has a contour of twice its length (so Leptonica's
    `pixFindStrokeWidth`, and the plate model of bone; Parfitt et al., J. Clin. Invest. 72, 1983). The ends of
    short strokes, and specks, make it less; of a round dot it is half of the diameter. The contour is
    measured in all directions alike, see `Runs.contour`.

    >>> bar = np.zeros((40, 600), bool)
    >>> bar[10:18, 10:590] = True
    >>> round(stroke_width(bar), 2)
    8.33
    """
    return _width(Runs.of(ink))


def _width(runs: Runs) -> float:
    return 2 * runs.area() / runs.contour() if len(runs.starts) else 0.0


@dataclass(frozen=True)
class Component:
    """Pixels that are ink in one sample or more, 8-connected.

    Attributes:
        box: left, top, right and bottom, in pixels of the page.
        area: the number of its pixels.
        probability: P(it is ink), the share of the samples in which at least half of its pixels are.
    """

    box: tuple[int, int, int, int]
    area: int
    probability: float


def components(union: Ink, samples: Iterable[Ink]) -> list[Component]:
    """Return the components of a page from the top down, with the probability that each is ink.

    Args:
        union: (H, W), the pixels that are ink in one sample or more.
        samples: (H, W) each; one is looked at at a time.
    """
    runs = Runs.of(union)
    if not len(runs.starts):
        return []
    labels = runs.components()
    area = np.bincount(labels, runs.lengths)
    votes, count = np.zeros(len(area), np.int64), 0
    for ink in samples:
        own = Runs.of(ink)
        inside = np.bincount(labels[own.within(runs)], own.lengths, len(area))
        votes += 2 * inside >= area
        count += 1
    boxes = _boxes(runs, labels)
    order = np.lexsort((boxes[:, 0], boxes[:, 1]))
    found = zip(boxes[order].tolist(), area[order].tolist(), votes[order].tolist(), strict=True)
    return [Component(tuple(box), int(size), n / count) for box, size, n in found]


def _boxes(runs: Runs, labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the left, top, right and bottom of each component, (components, 4)."""
    rows, left = np.divmod(runs.starts, runs.stride)
    order = np.argsort(labels, kind="stable")
    first = np.flatnonzero(np.diff(labels[order], prepend=-1))
    least = (np.minimum.reduceat(values[order], first) for values in (left, rows))
    most = (np.maximum.reduceat(values[order], first) for values in (left + runs.lengths, rows + 1))
    return np.stack([*least, *most], 1)
