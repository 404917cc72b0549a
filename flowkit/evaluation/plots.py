"""Plots of calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flowkit.evaluation.uncertainty import BAND, Uncertainty
from flowkit.files import replacing
from flowkit.metrics.calibration import Forecast, RiskCoverage, reliability

LEAST = 100
"""Least number of pixels of a bin to draw: fewer say nothing."""


def draw_calibration(path: Path, found: Mapping[str, Uncertainty]) -> None:
    """Write a PNG: reliability of all pixels and of the band around contours, and risk over coverage."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(13, 4.4), layout="constrained")
    everywhere, band, risk = figure.subplots(1, 3)
    for axes, title in ((everywhere, "all pixels"), (band, f"within {BAND:g} pixels of a contour")):
        axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
        axes.set(title=title, xlabel="P(ink)", ylabel="share that is ink", xlim=(0, 1), ylim=(0, 1))
    risk.set(title="errors among the surest pixels", xlabel="coverage", ylabel="risk (%)", xlim=(0.8, 1))
    for name, part in found.items():
        for axes, forecast in ((everywhere, part.everywhere), (band, part.band)):
            if forecast is not None:
                axes.plot(*_points(forecast), marker="o", markersize=3, label=name)
        assert part.everywhere is not None
        curve = RiskCoverage.of(part.everywhere)
        coverage = np.linspace(0.8, 1, 201)
        risk.plot(coverage, [100 * curve.risk(c) for c in coverage], label=name)
    risk.set_ylim(bottom=0)
    risk.legend()
    with replacing(path) as draft:
        figure.savefig(draft, format="png", dpi=100)


def _points(forecast: Forecast) -> tuple[np.ndarray, np.ndarray]:
    diagram = reliability(forecast)
    drawn = diagram.total >= LEAST
    return diagram.p[drawn], diagram.ink[drawn]
