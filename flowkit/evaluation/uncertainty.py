"""Probabilities and samples against the truth, pooled over the pages of a set."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flowkit.evaluation.contestants import Outcome
from flowkit.evaluation.review_quality import Reviewed, correlations
from flowkit.evaluation.sample_scores import PageSamples
from flowkit.evaluation.tiles import tile_sums
from flowkit.metrics import calibration
from flowkit.metrics.calibration import Forecast, Interval, RiskCoverage
from flowkit.metrics.dibco import Truth
from flowkit.tables import Cell

BAND = 3.0
"""Half width, in pixels, of the band around contours."""

REVIEWED = 0.1
COVERAGES = (0.95, 0.98)


@dataclass
class Uncertainty:
    """The quality of one entry's probabilities on all pages that were added.

    Attributes:
        everywhere: all pixels.
        band: pixels within `BAND` of the truth's contour, where most doubt is.
        doubt: sum min(p, 1 - p) of every tile.
        errors: wrong pixels of every tile.
        drawn: the scores of the samples, for every page with samples.
        reviewed: the expected and actual review scores of these pages.
        samples: number of samples of each page; None without samples.
        voted: whether the probabilities are shares of the samples.
        nats: sum of -log p of the pages' truths; nan if a page has no density.
    """

    everywhere: Forecast | None = None
    band: Forecast | None = None
    doubt: list[NDArray[np.float64]] = field(default_factory=list)
    errors: list[NDArray[np.float64]] = field(default_factory=list)
    drawn: list[PageSamples] = field(default_factory=list)
    reviewed: list[Reviewed] = field(default_factory=list)
    samples: int | None = None
    voted: bool = False
    nats: float = 0.0

    def add(self, outcome: Outcome, truth: Truth) -> None:
        """Add a page of an entry with probabilities."""
        p = outcome.probability
        assert p is not None
        self._pool(Forecast.of(p, truth.ink), _band(p, truth))
        self.doubt.append(tile_sums(np.minimum(p, 1 - p)))
        self.errors.append(tile_sums(outcome.ink ^ truth.ink))
        self.nats += math.nan if outcome.nats is None else outcome.nats
        self.voted = outcome.entry.samples is not None
        if outcome.samples is not None:
            self.samples = len(outcome.samples)
            if self.voted:
                self.reviewed.append(Reviewed.of(outcome.ink, outcome.samples, truth.ink))
            self.drawn.append(PageSamples.of(outcome.samples, truth.ink))

    def __iadd__(self, other: Uncertainty) -> Uncertainty:
        self._pool(other.everywhere, other.band)
        self.doubt += other.doubt
        self.errors += other.errors
        self.drawn += other.drawn
        self.reviewed += other.reviewed
        self.samples = other.samples
        self.voted = other.voted
        self.nats += other.nats
        return self

    def row(self) -> dict[str, Cell]:
        """Return the figures, by the names of their columns in the report."""
        assert self.everywhere is not None
        curve = RiskCoverage.of(self.everywhere)
        errors = np.concatenate(self.errors).astype(np.int64)
        found = calibration.found_in_worst(np.concatenate(self.doubt), errors, REVIEWED)
        best = calibration.found_in_worst(errors.astype(np.float64), errors, REVIEWED)
        row: dict[str, Cell] = {}
        if not math.isnan(self.nats):
            row["page NLL"] = self.nats / self.everywhere.pixels
        row |= {
            "ECE %": 100 * calibration.expected_calibration_error(self.everywhere),
            "NLL": calibration.negative_log_likelihood(self.everywhere),
            "Brier": calibration.brier(self.everywhere),
        }
        if self.band is not None:
            row["band ECE %"] = 100 * calibration.expected_calibration_error(self.band)
            row["band NLL"] = calibration.negative_log_likelihood(self.band)
            row["band Brier"] = calibration.brier(self.band)
        row["AURC"] = curve.area()
        row |= {f"risk at {100 * c:g} %": 100 * curve.risk(c) for c in COVERAGES}
        row["errors in worst tiles %"] = 100 * found
        row["at most %"] = 100 * best
        if self.samples is not None:
            row["ink in interval %"] = 100 * float(np.mean([page.ink.inside for page in self.drawn]))
            row["components in interval %"] = 100 * float(
                np.mean([page.components.inside for page in self.drawn])
            )
            row["nominal %"] = 100 * Interval(self.samples, 1).nominal
        if self.voted:
            for name, correlation in zip(("pages", "tiles"), correlations(self.reviewed), strict=True):
                row[f"review of {name}"] = correlation
        return row

    def _pool(self, everywhere: Forecast | None, band: Forecast | None) -> None:
        self.everywhere = _sum(self.everywhere, everywhere)
        self.band = _sum(self.band, band)


def pooled(parts: Iterable[Uncertainty]) -> Uncertainty:
    """Pool the pages of several."""
    together = Uncertainty()
    for part in parts:
        together += part
    return together


def _band(p: NDArray[np.floating], truth: Truth) -> Forecast | None:
    near = truth.contour_distance <= BAND
    return Forecast.of(p[near], truth.ink[near]) if near.any() else None


def _sum(one: Forecast | None, other: Forecast | None) -> Forecast | None:
    if one is None or other is None:
        return one or other
    return one + other
