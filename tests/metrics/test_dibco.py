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


def test_every_score_of_a_page_worked_out_by_hand():
    truth = np.zeros((16, 16), bool)
    truth[2:5, 2:13] = True  # a stroke of 3 x 11 in two of four blocks
    pred = truth.copy()
    pred[3, 2] = False  # on its contour, on its left end
    pred[10, 5] = True  # 6 rows below its contour
    scores = dibco.evaluate(pred, truth)
    reciprocal = sum(1 / np.hypot(i, j) for i in range(-2, 3) for j in range(-2, 3) if i or j)
    # the ink around (3, 2), where `pred` says paper
    left = sum(1 / np.hypot(i, j) for i in (-1, 0, 1) for j in (0, 1, 2) if i or j)
    assert scores["drd"] == pytest.approx((left / reciprocal + 1) / 2)  # no ink is near the other one
    assert scores["nrm"] == pytest.approx((1 / 33 + 1 / (256 - 33)) / 2)
    rows, columns = np.mgrid[:16, :16]
    contour = truth.copy()
    contour[3, 3:12] = False
    y, x = np.nonzero(contour)
    distance = np.hypot(rows[..., None] - y, columns[..., None] - x).min(-1)
    assert scores["mpm"] == pytest.approx(6 / (2 * distance.sum()))
    # all of the skeleton was found: the middle row without its ends
    assert scores["pfm_skel"] == pytest.approx(2 * 100 * scores["precision"] / (100 + scores["precision"]))
    # no weight is lost: the missing pixel is on the contour, the other one far from all ink
    assert scores["fps"] == pytest.approx(scores["pfm_skel"])


def test_what_bridges_two_strokes_costs_more_than_noise_far_away():
    truth = np.zeros((60, 60), bool)
    truth[10:14, 5:55] = truth[17:21, 5:55] = True
    bridge, noise = truth.copy(), truth.copy()
    bridge[14:17, 30:33] = True
    noise[50:53, 30:33] = True
    near, far = dibco.evaluate(bridge, truth), dibco.evaluate(noise, truth)
    assert near["f_measure"] == far["f_measure"]
    assert near["fps"] < far["fps"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (17, 1), (8, 8), (20, 23)])
@pytest.mark.parametrize("truth", [False, True])
@pytest.mark.parametrize("pred", [False, True])
def test_pages_of_one_colour_have_defined_scores(shape, truth, pred):
    scores = dibco.evaluate(np.full(shape, pred), np.full(shape, truth))
    assert list(scores) == list(dibco.SCORES)
    right = pred == truth
    assert scores["fps"] == scores["pfm_skel"] == scores["f_measure"] == (100 if right else 0)
    assert scores["drd"] == (0 if right else math.inf)
    assert scores["nrm"] == (0 if right else 0.5)
    assert scores["mpm"] >= 0
    assert not any(math.isnan(value) for value in scores.values())


def test_a_kept_truth_gives_the_same_scores():
    rng = np.random.default_rng(5)
    truth, pred = rng.random((2, 31, 44)) < 0.3
    kept = dibco.Truth(truth)
    assert dibco.evaluate(pred, kept) == dibco.evaluate(pred, truth)
    assert kept.weights is kept.weights


def test_arrays_that_are_no_pages():
    with pytest.raises(DataError, match=r"pred must be \(H, W\) with at least one pixel, got \(0, 3\)"):
        dibco.evaluate(np.zeros((0, 3), bool), np.zeros((0, 3), bool))
    with pytest.raises(DataError, match=r"truth must be \(H, W\)"):
        dibco.evaluate(np.zeros((2, 2), bool), np.zeros((2, 2, 1), bool))
