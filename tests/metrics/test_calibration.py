from __future__ import annotations

import math

import numpy as np
import pytest

from flowkit.errors import DataError
from flowkit.metrics.calibration import (
    Forecast,
    Interval,
    RiskCoverage,
    brier,
    expected_calibration_error,
    found_in_worst,
    negative_log_likelihood,
    reliability,
    smoothed,
)


@pytest.fixture
def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of 7 levels, ink a little more often than they say."""
    rng = np.random.default_rng(0)
    p = rng.integers(1, 8, (30, 41)) / 8
    return p, rng.random(p.shape) < p**0.8


def test_likelihood_and_brier_score_are_means_over_pixels(pixels):
    p, y = pixels
    forecast = Forecast.of(p, y)
    assert forecast.pixels == p.size
    assert negative_log_likelihood(forecast) == pytest.approx(
        -np.log(np.where(y, p, 1 - p)).mean(), rel=1e-12
    )
    assert brier(forecast) == pytest.approx(((p - y) ** 2).mean(), rel=1e-12)


@pytest.mark.parametrize("bins", [4, 15])
def test_calibration_error_is_counted_in_bins(pixels, bins):
    p, y = pixels
    expected = 0.0
    for b in range(bins):
        inside = (p >= b / bins) & (p < (b + 1) / bins)
        if inside.any():
            expected += inside.mean() * abs(p[inside].mean() - y[inside].mean())
    assert expected > 0.01
    assert expected_calibration_error(Forecast.of(p, y), bins) == pytest.approx(expected, rel=1e-9)


def test_probabilities_that_come_true_as_often_as_they_say_have_no_calibration_error():
    p = np.repeat([0.25, 0.5, 0.75], 4)
    y = np.array([1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0], bool)
    assert expected_calibration_error(Forecast.of(p, y)) == pytest.approx(0, abs=1e-15)


def test_a_diagram_has_every_pixel_in_one_bin():
    p = np.array([0.0, 0.1, 0.1, 1.0])
    diagram = reliability(Forecast.of(p, np.array([False, True, False, True])), 10)
    assert diagram.total.tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert diagram.ink[[0, 1, 9]].tolist() == [0, 0.5, 1]
    assert math.isnan(diagram.p[4])


def test_pooled_pages_are_as_one_page(pixels):
    p, y = pixels
    together = Forecast.of(p[:11], y[:11]) + Forecast.of(p[11:], y[11:])
    whole = Forecast.of(p, y)
    assert together.p.tolist() == whole.p.tolist()
    assert together.total.tolist() == whole.total.tolist()
    assert together.ink.tolist() == whole.ink.tolist()


def test_a_certain_error_costs_everything_and_a_certain_truth_nothing():
    certain = np.array([0.0, 1.0])
    assert negative_log_likelihood(Forecast.of(certain, np.array([False, True]))) == 0
    assert negative_log_likelihood(Forecast.of(certain, np.array([True, True]))) == math.inf


def test_the_area_is_the_mean_risk_over_all_coverages():
    p = np.array([0.9, 0.1, 0.9, 0.6, 0.6, 0.5])
    y = np.array([True, True, True, False, True, True])
    exact = RiskCoverage.of(Forecast.of(p, y)).area()
    # very many copies, so that the sum is the integral; those of equal confidence take turns
    p, y = np.tile(p, 5000), np.tile(y, 5000)
    order = np.argsort(-np.maximum(p, 1 - p), kind="stable")
    wrong = ((p >= 0.5) != y)[order]
    assert exact == pytest.approx((np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).mean(), abs=1e-3)


def test_risk_at_a_coverage_is_that_of_the_surest_pixels():
    p = np.array([0.99, 0.01, 0.8, 0.3, 0.55])
    y = np.array([True, False, False, False, False])  # the third and the last are wrong
    curve = RiskCoverage.of(Forecast.of(p, y))
    assert curve.risk(0.4) == 0
    assert curve.risk(0.6) == pytest.approx(1 / 3)
    assert curve.risk(0.8) == pytest.approx(1 / 4)
    assert curve.risk(1) == pytest.approx(2 / 5)
    assert curve.risk(0.9) == pytest.approx(1.5 / 4.5)
    with pytest.raises(DataError, match="coverage must be above 0 and at most 1, got 0"):
        curve.risk(0)


def test_a_perfect_ranking_beats_a_random_one_and_errors_everywhere_cost_1():
    y = np.zeros(100, bool)
    y[:10] = True
    sure = np.full(100, 0.01)
    doubtful = sure.copy()
    doubtful[:10] = 0.4  # wrong, but it says so
    areas = [RiskCoverage.of(Forecast.of(p, y)).area() for p in (doubtful, sure)]
    assert 0 < areas[0] < areas[1] == pytest.approx(0.1)
    assert RiskCoverage.of(Forecast.of(np.full(9, 0.9), np.zeros(9, bool))).area() == pytest.approx(1)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_intervals_hold_one_more_value_as_often_as_they_say(k):
    rng = np.random.default_rng(k)
    interval = Interval(9, k)
    values = rng.standard_normal((20_000, 10))
    held = np.mean([interval.holds(row[:9], row[9]) for row in values])
    assert held == pytest.approx(interval.nominal, abs=0.015)


def test_an_interval_needs_values_on_both_sides():
    with pytest.raises(DataError, match="of 4 samples, k must be 1 to 2, got 3"):
        Interval(4, 3)


def test_what_is_found_in_the_worst_tiles():
    doubt = np.arange(20.0)
    errors = np.zeros(20, np.int64)
    errors[[19, 18, 0]] = 3, 1, 4
    assert found_in_worst(doubt, errors) == 0.5
    assert found_in_worst(doubt, errors, 1.0) == 1
    assert found_in_worst(doubt, errors, 0.01) == 3 / 8  # a tile at least
    assert math.isnan(found_in_worst(doubt, np.zeros(20, np.int64)))


def test_smoothed_shares_are_never_certain_and_by_the_definition():
    rng = np.random.default_rng(0)
    votes = rng.integers(0, 9, (7, 11))
    votes[:, 7:] = 8
    p = smoothed(votes, 8)
    for row, column in ((0, 0), (3, 4), (6, 10), (2, 9)):
        rows, columns = (np.clip(np.arange(at - 2, at + 3), 0, n - 1) for at, n in ((row, 7), (column, 11)))
        around = votes[np.ix_(rows, columns)].mean() / 8
        assert p[row, column] == pytest.approx((votes[row, column] + around + 0.02) / 9.04)
    assert 0 < p.min() < p.max() < 1
    # of pixels that all samples agree on, those at the edge of the doubt are the less sure, the others alike
    assert p[3, 7] < p[3, 9] == p[0, 10]
    np.testing.assert_allclose(smoothed(8 - votes, 8), 1 - p)


@pytest.mark.parametrize(
    ("p", "y", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2), bool), "as many probabilities as pixels"),
        (np.zeros(0), np.zeros(0, bool), "at least 1"),
        (np.array([0.5, 1.5]), np.zeros(2, bool), "from 0 to 1, got 0.5 to 1.5"),
        (np.array([0.5, math.nan]), np.zeros(2, bool), "from 0 to 1"),
    ],
)
def test_what_is_no_forecast(p, y, message):
    with pytest.raises(DataError, match=message):
        Forecast.of(p, y)
