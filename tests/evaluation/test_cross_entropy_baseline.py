from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from flowkit import load
from flowkit.data import find_pairs, load_pages
from flowkit.errors import DataError
from flowkit.evaluation.cross_entropy_baseline import Head, Scaling
from flowkit.metrics.calibration import Forecast, negative_log_likelihood
from flowkit.pages import binarize


def test_slope_and_bias_are_found_again():
    rng = np.random.default_rng(0)
    v = rng.normal(0, 1, 60_000)
    ink = rng.random(v.size) < expit(3.5 * v - 0.7)
    scaling = Scaling.fit(v, ink)
    assert scaling.slope == pytest.approx(3.5, rel=0.03)
    assert scaling.bias == pytest.approx(-0.7, abs=0.05)
    nll = negative_log_likelihood(Forecast.of(scaling.probability(v), ink))
    for other in (Scaling(3.5, 0), Scaling(5, -0.7), Scaling(1, 0)):
        assert nll < negative_log_likelihood(Forecast.of(other.probability(v), ink))


def test_nothing_can_be_fitted_on_pages_of_one_colour():
    with pytest.raises(DataError, match="both ink and paper"):
        Scaling.fit(np.zeros(5), np.ones(5, bool))


def test_its_map_is_the_page_at_temperature_0(checkpoint, drawn):
    file = checkpoint()
    pairs = find_pairs([drawn])
    head = Head("head", load(file), pairs[:1], samples=6, seed=0)
    [page] = load_pages(pairs[1:])
    [outcome] = head.run(page)
    central = binarize(page.name, model=load(file), temperature=0).binary
    # v > 0 is ink there; where slope and bias put 1/2, it is ink here
    v = head._map(page)
    assert np.array_equal(v > 0, central)
    assert np.array_equal(outcome.ink, outcome.probability >= 0.5)
    odds = head.scaling.slope * v + head.scaling.bias
    clear = np.abs(odds) > 0.01
    assert np.array_equal(outcome.ink[clear], (odds > 0)[clear])
    assert outcome.samples.shape == (6, *page.ink.shape)
    sure = np.abs(odds) > 12
    assert np.array_equal(outcome.samples[:, sure], np.broadcast_to(outcome.ink[sure], (6, sure.sum())))
    p = np.where(page.ink, outcome.probability, 1 - outcome.probability)
    assert outcome.nats == pytest.approx(-np.log(p).sum())
    assert "fitted on pages that its training held back (1)." in head.notes[0]
