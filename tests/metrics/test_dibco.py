from __future__ import annotations

import math

import numpy as np
import pytest

from flowkit.errors import DataError
from flowkit.metrics import dibco


def test_a_page_counted_by_hand():
    truth = np.zeros((10, 20), bool)
    truth[2:6, 3:8] = True  # 20 pixels of ink
    pred = np.zeros_like(truth)
    pred[2:6, 5:10] = True  # 20 pixels, 12 of them right
    scores = dibco.evaluate(pred, truth)
    assert scores["recall"] == scores["precision"] == scores["f_measure"] == pytest.approx(60)
    assert scores["psnr"] == pytest.approx(10 * math.log10(200 / 16))


def test_f_measure_is_the_harmonic_mean():
    truth = np.arange(12) < 6
    pred = np.arange(12) < 2
    scores = dibco.evaluate(pred[None], truth[None])
    assert scores["precision"] == 100
    assert scores["f_measure"] == pytest.approx(50)


@pytest.mark.parametrize(
    ("pred", "truth", "f_measure", "psnr"),
    [(0, 0, 100, math.inf), (1, 1, 100, math.inf), (0, 1, 0, 0), (1, 0, 0, 0)],
)
def test_pages_all_of_one_kind(pred, truth, f_measure, psnr):
    scores = dibco.evaluate(np.full((3, 4), pred, bool), np.full((3, 4), truth, bool))
    assert (scores["f_measure"], scores["psnr"]) == (f_measure, psnr)


def test_what_cannot_be_scored():
    with pytest.raises(DataError, match="pred must be boolean, ink is True; got uint8"):
        dibco.evaluate(np.zeros((2, 2), np.uint8), np.zeros((2, 2), bool))
    with pytest.raises(DataError, match=r"pred is \(2, 3\), but truth is \(2, 2\)"):
        dibco.evaluate(np.zeros((2, 3), bool), np.zeros((2, 2), bool))
