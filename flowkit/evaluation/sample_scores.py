"""Samples of whole pages against the truth, pooled over the pages of a set."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from flowkit.metrics import samples
from flowkit.metrics.calibration import Forecast, Interval, coverage, reliability, share_error
from flowkit.metrics.components import Ink, count
from flowkit.tables import Cell

LEVELS = (0.5, 0.8, 0.95)
"""The levels of the intervals whose coverage is counted."""

BINS = 5
"""Number of bins for the probabilities of components."""

ABOUT = (
    "Ink, components in L %: the share of pages whose amount of ink, and number of 8-connected components, "
    "lies in the central interval of L % of the samples, ± its standard error; it should be L. In "
    "all: between the least and the greatest sample, which should hold the nominal share. Fewer than 39 "
    "samples have no interval of 95 %.",
    "Deviations away: |truth - mean of the samples| of ink, in standard deviations of the samples; spread: "
    "that deviation over the mean; both medians over pages.",
    "Components, samples / truth: of all pages together; above 1, samples have specks.",
    f"Energy score: of the root of the number of pixels that differ, of pages and of their {samples.SIDE} x "
    f"{samples.SIDE} tiles, over the root of the pixels; energy distance: of 1 - IoU; variogram score: of "
    "the tiles' shares of ink. Less is better, 0 is best.",
)
ABOUT_COMPONENTS = (
    "Of the 8-connected components of the union of a page's samples: the share of samples in which one is "
    "ink (half of its pixels, or more), and the share that is ink in the truth, ± its standard error.",
)


@dataclass(frozen=True)
class Amount:
    """A count on a page: in every sample, and in the truth."""

    drawn: Sequence[int]
    truth: int

    @property
    def inside(self) -> bool:
        """Return whether the truth lies between the least and the greatest sample."""
        return Interval(len(self.drawn), 1).holds(self.drawn, self.truth)

    @property
    def spread(self) -> float:
        """Return the samples' deviation (N - 1) over their mean; nan if the mean is 0."""
        mean = statistics.fmean(self.drawn)
        return statistics.stdev(self.drawn) / mean if mean else math.nan

    @property
    def away(self) -> float:
        """Return |truth - mean| in deviations of the samples; infinite if these are equal and wrong."""
        distance, deviation = abs(self.truth - statistics.fmean(self.drawn)), statistics.stdev(self.drawn)
        return distance / deviation if deviation else math.inf if distance else 0.0


@dataclass(frozen=True, eq=False)
class PageSamples:
    """The scores of a page's samples.

    Attributes:
        samples: N.
        ink: pixels of ink.
        components: 8-connected pieces of ink.
        energy: energy score of the page, over the root of its pixels.
        tile_energy: mean energy score of its tiles, over the root of a tile's pixels.
        distance: generalised energy distance with 1 - IoU.
        variogram: variogram score of the tiles' shares of ink.
        pieces: probabilities of the components of the samples' union; None if there are none.
    """

    samples: int
    ink: Amount
    components: Amount
    energy: float
    tile_energy: float
    distance: float
    variogram: float
    pieces: Forecast | None

    @classmethod
    def of(cls, drawn: Ink, truth: Ink) -> PageSamples:
        """Score samples (N, H, W), two or more, by a truth (H, W)."""
        tiles = samples.overlaps(drawn, truth)
        page = tiles.sum((0, 1))
        own = np.diagonal(tiles, axis1=-2, axis2=-1) / samples.SIDE**2
        *ink, true_ink = np.diagonal(page).tolist()
        return cls(
            samples=len(drawn),
            ink=Amount(ink, true_ink),
            components=Amount([count(sample) for sample in drawn], count(truth)),
            energy=samples.energy_score(page) / math.sqrt(truth.size),
            tile_energy=samples.energy_score(tiles) / samples.SIDE,
            distance=samples.energy_distance(page),
            variogram=samples.variogram_score(np.moveaxis(own[..., :-1], -1, 0), own[..., -1]),
            pieces=samples.components_forecast(drawn, truth),
        )


def row(pages: Sequence[PageSamples]) -> dict[str, Cell]:
    """Return the figures of pages with the same number of samples, by their columns' names in the report."""
    found: dict[str, Cell] = {"pages": len(pages)}
    for name in ("ink", "components"):
        amounts: list[Amount] = [getattr(page, name) for page in pages]
        for level in LEVELS:
            held = statistics.fmean(coverage(amount.drawn, amount.truth, level) for amount in amounts)
            found[f"{name} in {100 * level:g} %"] = (
                None if math.isnan(held) else _with_error(held, len(pages))
            )
        found[f"{name} in all"] = _with_error(
            statistics.fmean(amount.inside for amount in amounts), len(pages)
        )
    found["nominal of all"] = f"{100 * Interval(pages[0].samples, 1).nominal:.1f}"
    found["ink, deviations away"] = statistics.median(page.ink.away for page in pages)
    found["ink, spread %"] = 100 * statistics.median(page.ink.spread for page in pages)
    drawn = sum(statistics.fmean(page.components.drawn) for page in pages)
    found["components, samples / truth"] = drawn / max(1, sum(page.components.truth for page in pages))
    for name, score in (
        ("energy score", "energy"),
        ("energy score of tiles", "tile_energy"),
        ("energy distance", "distance"),
        ("variogram score", "variogram"),
    ):
        found[name] = statistics.fmean(getattr(page, score) for page in pages)
    return found


def components(pages: Iterable[PageSamples]) -> Forecast | None:
    """Return the probabilities of the components of all pages together; None if there are none."""
    forecasts = [page.pieces for page in pages if page.pieces is not None]
    return reduce(add, forecasts) if forecasts else None


def component_rows(pages: Iterable[PageSamples]) -> list[dict[str, Cell]]:
    """Return a row for each bin of the components' probabilities, of all pages together."""
    forecast = components(pages)
    if forecast is None:
        return []
    diagram = reliability(forecast, BINS)
    return [
        {
            "P(ink) %": f"{100 * i / BINS:g} to {100 * (i + 1) / BINS:g}",
            "components": int(diagram.total[i]),
            "mean P(ink) %": 100 * float(diagram.p[i]),
            "ink in the truth %": _with_error(float(diagram.ink[i]), int(diagram.total[i])),
        }
        for i in range(BINS)
        if diagram.total[i]
    ]


def _with_error(share: float, n: int) -> str:
    return f"{100 * share:.1f} ± {100 * share_error(share, n):.1f}"
