"""Every score against its definition, counted pixel by pixel, on random pages."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from flowkit.errors import DataError
from flowkit.metrics import dibco
from flowkit.metrics.pseudo_weights import weights
from flowkit.metrics.thinning import skeleton


def blobs(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Strokes a few pixels wide, some of them at the edge."""
    page = np.zeros(shape, bool)
    for _ in range(5):
        y, x = (int(rng.integers(0, n)) for n in shape)
        height, width = (int(rng.integers(1, 9)) for _ in range(2))
        page[y : y + height, x : x + width] = True
    return page


def by_definition(pred: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    height, width = truth.shape
    pixels = list(itertools.product(range(height), range(width)))
    tp = sum(pred[p] and truth[p] for p in pixels)
    fp = sum(pred[p] and not truth[p] for p in pixels)
    fn = sum(truth[p] and not pred[p] for p in pixels)
    tn = len(pixels) - tp - fp - fn
    recall, precision = 100 * tp / (tp + fn), 100 * tp / (tp + fp)

    def harmonic(a: float, b: float) -> float:
        return 2 * a * b / (a + b) if a + b else 0.0

    near = {(i, j): 1 / math.hypot(i, j) for i in range(-2, 3) for j in range(-2, 3) if i or j}
    total = sum(near.values())
    distortion = 0.0
    for y, x in pixels:
        if pred[y, x] != truth[y, x]:
            for (i, j), weight in near.items():
                inside = 0 <= y + i < height and 0 <= x + j < width
                distortion += weight / total * (inside and truth[y + i, x + j] != pred[y, x])
    blocks = [truth[y : y + 8, x : x + 8] for y in range(0, height - 7, 8) for x in range(0, width - 7, 8)]
    mixed = sum(block.any() and not block.all() for block in blocks)

    def outside(y: int, x: int) -> bool:
        return not (0 <= y < height and 0 <= x < width) or not truth[y, x]

    contour = [
        (y, x)
        for y, x in pixels
        if truth[y, x] and any(outside(y + i, x + j) for i, j in ((0, 1), (1, 0), (0, -1), (-1, 0)))
    ]
    distance = {p: min(math.dist(p, c) for c in contour) for p in pixels}
    of_recall, of_precision = weights(truth)
    weighted_recall = 100 * sum(of_recall[p] for p in pixels if pred[p] and truth[p]) / of_recall.sum()
    weighted_precision = (
        100
        * sum(1 + of_precision[p] for p in pixels if pred[p] and truth[p])
        / sum(1 + of_precision[p] for p in pixels if pred[p])
    )
    lines = skeleton(truth)
    on_lines = 100 * (pred & lines).sum() / lines.sum()
    return {
        "f_measure": harmonic(recall, precision),
        "fps": harmonic(weighted_recall, weighted_precision),
        "pfm_skel": harmonic(on_lines, precision),
        "psnr": 10 * math.log10(len(pixels) / (fp + fn)),
        "drd": distortion / mixed,
        "nrm": (fn / (fn + tp) + fp / (fp + tn)) / 2,
        "mpm": sum(distance[p] for p in pixels if pred[p] != truth[p]) / (2 * sum(distance.values())),
        "recall": recall,
        "precision": precision,
    }


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_what_their_definitions_say(seed):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(17, 30)), int(rng.integers(17, 40)))
    truth = blobs(rng, shape)
    pred = np.roll(truth, (0, 1), (0, 1)) ^ (rng.random(shape) < 0.05)
    scores = dibco.evaluate(pred, truth)
    assert list(scores) == list(dibco.SCORES)
    assert scores == pytest.approx(by_definition(pred, truth), rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_scores_do_not_depend_on_left_and_right_but_for_the_weights(seed):
    """The contest's weights have a direction (rows first), DRD's blocks have one where sides are not 8 n."""
    rng = np.random.default_rng(seed)
    truth = blobs(rng, (24, 32))
    pred = truth ^ (rng.random(truth.shape) < 0.1)
    here, mirrored = dibco.evaluate(pred, truth), dibco.evaluate(pred[:, ::-1], truth[:, ::-1])
    for name in ("f_measure", "psnr", "drd", "nrm", "mpm", "recall", "precision"):
        assert here[name] == pytest.approx(mirrored[name], rel=1e-12), name


def test_more_errors_are_never_better():
    rng = np.random.default_rng(0)
    truth = blobs(rng, (40, 40))
    pred = truth.copy()
    before = dibco.evaluate(pred, truth)
    assert before["psnr"] == math.inf
    for place in rng.permutation(np.flatnonzero(truth))[:20]:
        pred.reshape(-1)[place] = False
        after = dibco.evaluate(pred, truth)
        for name in ("f_measure", "fps", "pfm_skel", "psnr", "recall"):
            assert after[name] <= before[name] + 1e-9, name
        for name in ("drd", "nrm", "mpm"):
            assert after[name] >= before[name] - 1e-9, name
        before = after


def test_all_pixels_wrong():
    truth = np.zeros((16, 16), bool)
    truth[4:9, 3:14] = True
    scores = dibco.evaluate(~truth, truth)
    for name in ("f_measure", "fps", "pfm_skel", "psnr", "recall", "precision"):
        assert scores[name] == 0, name
    assert scores["nrm"] == 1
    assert scores["mpm"] == pytest.approx(0.5)  # every pixel counts with its distance, halved


@pytest.mark.parametrize(
    "grey", [np.full((4, 4), 128, np.uint8), np.array([[0, 255]], np.uint8), np.full((3, 3), 0.5)]
)
def test_grey_and_numbers_are_refused_because_black_could_be_either(grey):
    with pytest.raises(DataError, match="truth must be boolean, ink is True; got"):
        dibco.evaluate(np.zeros(grey.shape, bool), grey)
    with pytest.raises(DataError, match="pred must be boolean"):
        dibco.evaluate(grey, np.zeros(grey.shape, bool))


def test_changing_an_array_in_place_is_noticed():
    truth = np.zeros((12, 12), bool)
    truth[3:9, 3:9] = True
    pred = truth.copy()
    assert dibco.evaluate(pred, truth)["fps"] == 100
    truth[3:9, 3:6] = False
    assert dibco.evaluate(pred, truth)["fps"] < 100


def test_a_single_pixel_of_paper_cut_off_at_the_edge_has_no_skeleton():
    """Thinning leaves a component of paper its skeleton, or it is given one pixel; this one has neither."""
    truth = np.array(
        [
            [1, 0, 0, 0, 0],
            [0, 1, 1, 1, 1],
            [0, 0, 0, 1, 0],
            [0, 0, 1, 1, 1],
            [1, 0, 0, 1, 1],
        ],
        bool,
    )
    _, precision = weights(truth)
    assert precision[4].tolist() == [0, 1, 1, 0, 0]  # seeded, the pixel would have the weight 0.5
