from __future__ import annotations

import math

import numpy as np
import pytest

from flowkit.evaluation.sample_scores import Amount, PageSamples, component_rows, row
from flowkit.metrics.calibration import share_error


def without(truth: np.ndarray, count: int, n: int = 8) -> PageSamples:
    """Samples of which so many lack the second stroke."""
    samples = np.stack([truth] * n)
    samples[:count, 40:45] = False
    return PageSamples.of(samples, truth)


def test_an_amount_is_compared_with_its_spread():
    amount = Amount([2, 4, 6], 10)
    assert amount.away == pytest.approx(6 / 2)
    assert amount.spread == pytest.approx(2 / 4)
    assert not amount.inside
    assert Amount([2, 4, 6], 6).inside
    assert Amount([3, 3], 3).away == 0
    assert Amount([3, 3], 4).away == math.inf
    assert math.isnan(Amount([0, 0], 0).spread)


def test_samples_that_are_the_truth(truth):
    found = row([without(truth, 0)])
    for name in ("energy score", "energy score of tiles", "energy distance", "variogram score"):
        assert found[name] == 0, name
    assert found["ink, deviations away"] == found["ink, spread %"] == 0
    assert found["components, samples / truth"] == 1
    assert found["ink in 50 %"] == f"100.0 ± {100 * share_error(1, 1):.1f}"
    assert found["ink in 80 %"] is None  # nine values have an interval of 7 / 9 at most
    assert found["nominal of all"] == "77.8"


def test_specks_raise_the_number_of_components(truth):
    samples = np.stack([truth] * 4)
    samples[:, 60, 2:80:4] = True
    speckled = PageSamples.of(samples, truth)
    assert speckled.components.drawn == [22] * 4
    # pages are added up, so that one with hardly a component does not outweigh all others
    assert row([speckled, without(truth, 0, 4)])["components, samples / truth"] == 6


def test_figures_are_of_all_pages(truth):
    one, other = without(truth, 2), without(truth, 8)
    found = row([one, other])
    assert found["pages"] == 2
    assert found["energy score"] == pytest.approx((one.energy + other.energy) / 2)
    assert found["components in all"] == f"50.0 ± {100 * share_error(0.5, 2):.1f}"
    assert one.energy < other.energy == pytest.approx(math.sqrt(100 / truth.size))


def test_strokes_are_as_reliable_as_the_truth_says(truth):
    blank = np.zeros_like(truth)
    pages = [without(truth, 4), PageSamples.of(np.stack([blank] * 8), truth)]
    half, whole = component_rows(pages)
    assert (half["P(ink) %"], half["components"], half["mean P(ink) %"]) == ("40 to 60", 1, 50)
    assert (whole["P(ink) %"], whole["components"]) == ("80 to 100", 1)
    assert whole["ink in the truth %"] == half["ink in the truth %"]
    assert component_rows(pages[1:]) == []
