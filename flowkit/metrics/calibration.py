"""Calibration of probabilities of ink, and the agreement of doubt and errors.

p is P(ink) of a pixel and y in {0, 1} its truth. Everything but the intervals is a function of how often each
value of p was given and how often it came true, so pages are pooled by adding up those counts, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowkit.errors import DataError

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

BINS = 15

PRIOR = 0.02
"""Votes on either side before the first sample; with 1, Laplace's rule, every certain pixel would cost
log(1 + 1 / (N + 1)), which is more than all that models are unsure of."""

WINDOW = 5
"""Side of the window whose mean vote counts as one sample more."""


def smoothed(votes: NDArray[np.integer], samples: int) -> Floats:
    """Return P(ink) = (votes + m + a) / (samples + 1 + 2 a), a = `PRIOR`, m the mean share of votes around.

    A plain share of 0 or 1 would have an infinite log-likelihood as soon as it is wrong once, and N samples
    say nothing finer than 1 / N. What is around a pixel, in its window of 5 x 5 (edges are repeated), says
    which of those that all samples agree on are the surer.

    Args:
        votes: (H, W), for ink, of the samples of a page.
        samples: how many there are.

    >>> smoothed(np.array([[0, 0, 0, 0, 0, 4]]), 4).round(3)
    array([[0.004, 0.004, 0.004, 0.044, 0.083, 0.917]])
    """
    half = WINDOW // 2
    padded = np.pad(votes.astype(np.int64), half, mode="edge")
    for axis in (0, 1):  # sums of whole numbers: equal votes around equal pixels have equal probabilities
        padded = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=axis).sum(-1)
    around = padded / (samples * WINDOW**2)
    return np.asarray((votes + around + PRIOR) / (samples + 1 + 2 * PRIOR))


@dataclass(frozen=True, eq=False)
class Forecast:
    """Probabilities and their outcomes; `a + b` pools two.

    Args:
        p: the different probabilities of ink that were given, rising.
        total: pixels that were given each.
        ink: how many of those are ink.
    """

    p: Floats
    total: Counts
    ink: Counts

    @classmethod
    def of(cls, p: NDArray[np.floating], y: NDArray[np.bool_]) -> Forecast:
        """Make a forecast from pixels, in any shape.

        Raises:
            DataError: shapes that differ, no pixels, or values that are no probabilities.
        """
        if p.shape != y.shape or not p.size:
            raise DataError(f"expected as many probabilities as pixels, at least 1; got {p.shape}, {y.shape}")
        values, place = np.unique(p.astype(np.float64), return_inverse=True)
        if not (values[0] >= 0 and values[-1] <= 1):
            raise DataError(f"expected probabilities from 0 to 1, got {values[0]:g} to {values[-1]:g}")
        place = place.reshape(-1)
        total = np.bincount(place, minlength=len(values))
        return cls(values, total, np.bincount(place[y.reshape(-1)], minlength=len(values)))

    def __add__(self, other: Forecast) -> Forecast:
        values, place = np.unique(np.concatenate([self.p, other.p]), return_inverse=True)
        total, ink = (np.zeros(len(values), np.int64) for _ in range(2))
        np.add.at(total, place, np.concatenate([self.total, other.total]))
        np.add.at(ink, place, np.concatenate([self.ink, other.ink]))
        return Forecast(values, total, ink)

    @property
    def pixels(self) -> int:
        """Return the number of pixels."""
        return int(self.total.sum())


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram: bins of equal width over [0, 1], of which p = 1 belongs to the last.

    Attributes:
        total: pixels in each bin.
        p: their mean probability; nan in an empty bin.
        ink: the share of them that is ink; nan in an empty bin.
    """

    total: Counts
    p: Floats
    ink: Floats


def reliability(forecast: Forecast, bins: int = BINS) -> Reliability:
    """Count how often pixels with about the same probability are ink (DeGroot and Fienberg, 1983)."""
    place = np.minimum((forecast.p * bins).astype(np.intp), bins - 1)
    total = np.bincount(place, forecast.total, bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, forecast.total * forecast.p, bins) / total
        ink = np.bincount(place, forecast.ink, bins) / total
    return Reliability(total.astype(np.int64), mean, ink)


def expected_calibration_error(forecast: Forecast, bins: int = BINS) -> float:
    """Return ECE = sum_b n_b / n |mean p in b - share of ink in b| (Naeini et al., AAAI 2015), of P(ink).

    >>> p = np.array([0.9, 0.9, 0.9, 0.9])
    >>> round(expected_calibration_error(Forecast.of(p, np.array([True, True, True, False]))), 3)
    0.15
    """
    diagram = reliability(forecast, bins)
    seen = diagram.total > 0
    gaps = np.abs(diagram.p[seen] - diagram.ink[seen])
    return float((diagram.total[seen] * gaps).sum() / forecast.pixels)


def negative_log_likelihood(forecast: Forecast) -> float:
    """Return NLL = -mean(y log p + (1 - y) log(1 - p)), in nats; infinite if a certain pixel is wrong."""
    paper = forecast.total - forecast.ink
    with np.errstate(divide="ignore", invalid="ignore"):
        costs = np.where(forecast.ink > 0, -forecast.ink * np.log(forecast.p), 0.0)
        costs += np.where(paper > 0, -paper * np.log1p(-forecast.p), 0.0)
    return float(costs.sum() / forecast.pixels)


def brier(forecast: Forecast) -> float:
    """Return mean (p - y)^2 (Brier, 1950)."""
    paper = forecast.total - forecast.ink
    return float((forecast.ink * (1 - forecast.p) ** 2 + paper * forecast.p**2).sum() / forecast.pixels)


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The share of errors among the surest pixels (El-Yaniv and Wiener, JMLR 2010).

    A pixel is taken for ink if p >= 1/2, its confidence is max(p, 1 - p), and the risk at coverage c is the
    share of wrong pixels among the share c of all pixels that has the highest confidence. Any part of
    pixels of equal confidence is taken to hold its share of their errors, which is the mean over all orders.

    Attributes:
        coverage: rising, 1 at last: where one level of confidence ends.
        errors: wrong pixels up to there, as a share of ALL pixels.
    """

    coverage: Floats
    errors: Floats

    @classmethod
    def of(cls, forecast: Forecast) -> RiskCoverage:
        """Order pixels from the surest to the least sure."""
        confidence = np.maximum(forecast.p, 1 - forecast.p)
        wrong = np.where(forecast.p >= 0.5, forecast.total - forecast.ink, forecast.ink)
        # -confidence, rounded: p and 1 - p are equally sure, whatever float arithmetic makes of them
        _, place = np.unique(-confidence.round(12), return_inverse=True)
        n = forecast.pixels
        return cls(
            np.cumsum(np.bincount(place, forecast.total)) / n, np.cumsum(np.bincount(place, wrong)) / n
        )

    def risk(self, coverage: float) -> float:
        """Return the share of wrong pixels among the surest `coverage` of all; coverage in (0, 1].

        Raises:
            DataError: the coverage is out of range.

        >>> curve = RiskCoverage(np.array([0.5, 1.0]), np.array([0.0, 0.1]))
        >>> curve.risk(0.5), round(curve.risk(0.75), 4), curve.risk(1)
        (0.0, 0.0667, 0.1)
        """
        if not 0 < coverage <= 1:
            raise DataError(f"coverage must be above 0 and at most 1, got {coverage}")
        return float(np.interp(coverage, np.r_[0, self.coverage], np.r_[0, self.errors]) / coverage)

    def area(self) -> float:
        """Return AURC, the integral of the risk over coverage from 0 to 1 (Geifman et al., ICLR 2019).

        Between two levels the errors are linear in coverage, E0 + r (c - c0), so that the risk, errors / c,
        integrates to (E0 - r c0) log(c1 / c0) + r (c1 - c0).
        """
        start, before = np.r_[0, self.coverage[:-1]], np.r_[0, self.errors[:-1]]
        width = self.coverage - start
        rate = (self.errors - before) / width
        # the first level begins at coverage 0 without errors: its logarithm has the factor 0
        logs = np.log(self.coverage / np.where(start > 0, start, self.coverage))
        return float(((before - rate * start) * logs + rate * width).sum())


@dataclass(frozen=True)
class Interval:
    """A central interval of N equally likely values: from the k-th smallest to the k-th largest.

    If the truth is one more value of the same kind it lies in there with probability (N + 1 - 2 k) / (N + 1),
    whatever the distribution; among whole numbers, which may be equal, at least that often.

    Args:
        samples: N.
        k: from 1, for the widest, to N // 2.

    Raises:
        DataError: k is out of range.
    """

    samples: int
    k: int

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.samples // 2:
            raise DataError(f"of {self.samples} samples, k must be 1 to {self.samples // 2}, got {self.k}")

    @property
    def nominal(self) -> float:
        """Return the probability with which the interval should hold the truth."""
        return (self.samples + 1 - 2 * self.k) / (self.samples + 1)

    def holds(self, values: Sequence[float], truth: float) -> bool:
        """Return true if the truth lies inside, the ends included.

        >>> Interval(4, 1).nominal, Interval(4, 1).holds([5, 3, 9, 4], 9)
        (0.6, True)
        """
        ordered = sorted(values)
        return ordered[self.k - 1] <= truth <= ordered[-self.k]


def coverage(values: Sequence[float], truth: float, level: float) -> float:
    """Return how far a central interval of this level holds the truth: 0, 1, or a share of both.

    k = (N + 1) (1 - level) / 2 would be the `Interval` of exactly this level. Where k is no whole number, the
    two next to it count in the proportion that gives the level; so the mean over many truths, each one more
    value of the same kind, is the level. NaN if N values have no interval as wide as this.

    >>> [coverage([5, 3, 9, 4], truth, 0.5) for truth in (4.5, 8, 9.5)], coverage([5, 3, 9, 4], 4, 0.95)
    ([1.0, 0.75, 0.0], nan)
    """
    n = len(values)
    k = round((n + 1) * (1 - level) / 2, 9)  # 10 (1 - 0.8) / 2 is 1
    if k < 1:
        return math.nan
    outer = min(math.floor(k), n // 2)
    held = float(Interval(n, outer).holds(values, truth))
    if outer < min(k, n // 2):
        held += (k - outer) * (Interval(n, outer + 1).holds(values, truth) - held)
    return held


def share_error(share: float, n: int) -> float:
    """Return the standard error of a share of n, by Laplace's rule: sqrt(q (1 - q) / (n + 3)).

    q = (share n + 1) / (n + 2): the posterior's deviation under a uniform prior, which is not 0 where all or
    none of a few are counted.

    >>> round(share_error(0.5, 97), 3), round(share_error(0.0, 16), 3)
    (0.05, 0.053)
    """
    q = (share * n + 1) / (n + 2)
    return math.sqrt(q * (1 - q) / (n + 3))


def found_in_worst(doubt: Floats, errors: Counts, share: float = 0.1) -> float:
    """Return the share of all errors in the tiles with the most doubt; nan if there are none.

    Args:
        doubt: of every tile, the number of wrong pixels that its probabilities let expect,
            sum min(p, 1 - p).
        errors: wrong pixels of every tile.
        share: of the tiles that are looked at, rounded up; of equally doubtful ones the first.

    Raises:
        DataError: doubts and errors are not of the same tiles, or the share is out of range.

    >>> found_in_worst(np.array([0.1, 7.0, 0.2, 0.3]), np.array([1, 8, 0, 1]), 0.25)
    0.8
    """
    if doubt.shape != errors.shape or not doubt.size:
        raise DataError(f"expected a doubt for every tile, at least 1; got {doubt.shape}, {errors.shape}")
    if not 0 < share <= 1:
        raise DataError(f"share must be above 0 and at most 1, got {share}")
    if not errors.any():
        return math.nan
    worst = np.argsort(-doubt, kind="stable")[: math.ceil(share * doubt.size)]
    return float(errors[worst].sum() / errors.sum())
