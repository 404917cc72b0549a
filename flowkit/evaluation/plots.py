"""Plots of calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flowkit.evaluation.sample_scores import BINS, components
from flowkit.evaluation.uncertainty import BAND, Uncertainty
from flowkit.files import replacing
from flowkit.metrics import calibration
from flowkit.metrics.calibration import Forecast, RiskCoverage, reliability

LEAST = 100
"""Least number of pixels of a bin to draw; with fewer, a bin is all noise."""

LEAST_COMPONENTS = 10
"""The same for components."""


def draw_calibration(path: Path, found: Mapping[str, Uncertainty]) -> None:
    """Write a PNG: reliability of all pixels, the band around contours and components; risk over coverage."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(17, 4.4), layout="constrained")
    everywhere, band, pieces, risk = figure.subplots(1, 4)
    titles = "all pixels", f"within {BAND:g} pixels of a contour", "components"
    for axes, title in zip((everywhere, band, pieces), titles, strict=True):
        axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
        axes.set(title=title, xlabel="P(ink)", ylabel="share that is ink", xlim=(0, 1), ylim=(0, 1))
    risk.set(title="errors among the surest pixels", xlabel="coverage", ylabel="risk (%)", xlim=(0.8, 1))
    for name, part in found.items():
        found_there = (
            (everywhere, part.everywhere, calibration.BINS, LEAST),
            (band, part.band, calibration.BINS, LEAST),
            (pieces, components(part.drawn), BINS, LEAST_COMPONENTS),
        )
        for axes, forecast, bins, least in found_there:
            points = ((), ()) if forecast is None else _points(forecast, bins, least)
            axes.plot(*points, marker="o", markersize=3, label=name)
        assert part.everywhere is not None
        curve = RiskCoverage.of(part.everywhere)
        coverage = np.linspace(0.8, 1, 201)
        risk.plot(coverage, [100 * curve.risk(c) for c in coverage], label=name)
    risk.set_ylim(bottom=0)
    risk.legend()
    with replacing(path) as draft:
        figure.savefig(draft, format="png", dpi=100)


def _points(forecast: Forecast, bins: int, least: int) -> tuple[np.ndarray, np.ndarray]:
    diagram = reliability(forecast, bins)
    drawn = diagram.total >= least
    return diagram.p[drawn], diagram.ink[drawn]
