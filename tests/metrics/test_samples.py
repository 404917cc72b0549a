from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

from flowkit.errors import DataError
from flowkit.metrics.calibration import Interval, coverage
from flowkit.metrics.samples import (
    components_forecast,
    energy_distance,
    energy_score,
    overlaps,
    variogram_score,
)


def noise(*shape: int, seed: int = 0, p: float = 0.4) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < p


def fair(distance, samples, truth) -> float:
    """mean d(x, y) - mean over different pairs of d(x, x') / 2, pair by pair."""
    pairs = [distance(a, b) for a, b in itertools.combinations(samples, 2)]
    return np.mean([distance(x, truth) for x in samples]) - np.mean(pairs) / 2


def root(a, b) -> float:
    return float(np.sqrt((a != b).sum()))


def jaccard(a, b) -> float:
    return 1 - (a & b).sum() / (a | b).sum() if (a | b).any() else 0.0


def test_energy_score_and_distance_are_those_of_their_definitions():
    samples, truth = noise(5, 7, 10), noise(7, 10, seed=1)
    tiles = overlaps(samples, truth, side=4)
    assert tiles.shape == (2, 3, 6, 6)
    page = tiles.sum((0, 1))
    assert np.array_equal(np.diagonal(page), [*samples.sum((1, 2)), truth.sum()])
    assert energy_score(page) == pytest.approx(fair(root, samples, truth))
    assert energy_distance(page) == pytest.approx(2 * fair(jaccard, samples, truth))
    windows = [np.s_[top : top + 4, left : left + 4] for top in (0, 4) for left in (0, 4, 8)]
    of_tiles = [fair(root, samples[:, *window], truth[window]) for window in windows]
    assert energy_score(tiles) == pytest.approx(np.mean(of_tiles))


def test_pages_without_ink_are_equal():
    blank = np.zeros((3, 4, 4), bool)
    assert energy_distance(overlaps(blank, blank[0]).sum((0, 1))) == 0
    inked = blank.copy()
    inked[:, 1, 1] = True
    assert energy_distance(overlaps(inked, blank[0]).sum((0, 1))) == 2


def test_variogram_score_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    ink, truth = rng.random((4, 3, 9)), rng.random((3, 9))
    places = list(itertools.product(range(3), range(9)))
    total = weights = 0.0
    for a, b in itertools.combinations(places, 2):
        down, right = abs(a[0] - b[0]), abs(a[1] - b[1])
        if right > 6:
            continue
        drawn = np.array([abs(x[a] - x[b]) ** 0.5 for x in ink])
        square = (abs(truth[a] - truth[b]) ** 0.5 - drawn.mean()) ** 2 - drawn.var(ddof=1) / 4
        total += square / np.hypot(down, right)
        weights += 1 / np.hypot(down, right)
    assert variogram_score(ink, truth) == pytest.approx(total / weights)
    assert variogram_score(ink[:, :1, :1], truth[:1, :1]) == 0  # a single tile has no pair


def world(n: int, rng) -> np.ndarray:
    """Pages of three stains, each of which is ink as a whole or not, bolder or finer together."""
    pages = np.zeros((n, 8, 12), bool)
    for page in pages:
        bold = rng.random() < 0.5
        for left in (0, 4, 8):
            if rng.random() < (0.8 if bold else 0.3):
                page[1 : 5 if bold else 3, left + 1 : left + 3] = True
    return pages


@functools.cache
def probability() -> np.ndarray:
    return world(4000, np.random.default_rng(1)).mean(0)


def by_pixel(n: int, rng) -> np.ndarray:
    """Pages with the world's P(ink), each pixel by itself."""
    return rng.random((n, 8, 12)) < probability()


def by_stain(n: int, rng) -> np.ndarray:
    """Pages whose stains are whole, and the world's, but have nothing in common."""
    pages = world(3 * n, rng).reshape(3, n, 8, 12)
    return np.concatenate([pages[i][..., 4 * i : 4 * i + 4] for i in range(3)], -1)


def too_sure(n: int, rng) -> np.ndarray:
    return np.broadcast_to(world(1, rng), (n, 8, 12))


def mean_scores(sampler, n: int, pages: int = 300) -> np.ndarray:
    rng, drawing = np.random.default_rng(2), np.random.default_rng(3)
    found = []
    for truth in world(pages, rng):
        tiles = overlaps(sampler(n, drawing), truth, side=4)
        own = np.diagonal(tiles, axis1=-2, axis2=-1) / 16
        page = tiles.sum((0, 1))
        variogram = variogram_score(np.moveaxis(own[..., :-1], -1, 0), own[..., -1])
        found.append((energy_score(page), energy_distance(page), variogram))
    return np.mean(found, 0)


def test_the_right_joint_distribution_scores_best():
    right = mean_scores(world, 8)
    for wrong in (by_pixel, by_stain, too_sure):
        assert (mean_scores(wrong, 8) > right).all(), wrong


def test_scores_do_not_depend_on_the_number_of_samples():
    few, many = (mean_scores(world, n, 900) for n in (3, 12))
    assert few == pytest.approx(many, rel=0.1)


def test_components_are_ink_by_half_of_their_pixels():
    rows = ["####..##.#", "##....##..", "##.......#", "##........"]
    samples = np.array([[list(row)] for row in rows]) == "#"
    found = components_forecast(samples, np.array([list("#.....##..")]) == "#")
    # of ####, every sample has a half, the truth a quarter; ## is in two samples, the single # in two
    assert found.p.tolist() == [0.5, 1]
    assert found.total.tolist() == [2, 1]
    assert found.ink.tolist() == [1, 0]
    assert components_forecast(np.zeros((2, 3, 3), bool), np.ones((3, 3), bool)) is None


@pytest.mark.parametrize("samples", [np.ones((1, 3, 3), bool), np.ones((2, 3, 4), bool)])
def test_samples_that_cannot_be_scored(samples):
    with pytest.raises(DataError, match="two or more samples of the truth's shape"):
        overlaps(samples, np.ones((3, 3), bool))


@pytest.mark.parametrize(("n", "level"), [(16, 0.5), (16, 0.8), (64, 0.95), (9, 0.8), (5, 0.5)])
def test_intervals_of_a_level_hold_one_more_value_as_often(n, level):
    rng = np.random.default_rng(0)
    held = [coverage(values[:-1], values[-1], level) for values in rng.random((2000, n + 1))]
    assert np.mean(held) == pytest.approx(level, abs=0.03)


def test_intervals_of_whole_k_are_those_of_k():
    values = list(range(9))
    for truth in (-1, 0, 1, 4, 8, 9):
        assert coverage(values, truth, 0.8) == Interval(9, 1).holds(values, truth)
        assert coverage(values, truth, 0.6) == Interval(9, 2).holds(values, truth)
    assert np.isnan(coverage(values, 4, 0.81))
