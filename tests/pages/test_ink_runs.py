"""Runs of ink against the pixels that they stand for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from flowkit.pages.runs import Runs


def drawn(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 13, 2)
    return rng.random((height, width)) < rng.random()


def changes(a: np.ndarray, b: np.ndarray) -> int:
    return np.count_nonzero(a != b)


@pytest.mark.parametrize("seed", range(40))
def test_they_count_as_pixels_do(seed: int) -> None:
    ink = drawn(seed)
    runs = Runs.of(ink)
    assert runs.area() == ink.sum()
    labels, count = ndimage.label(ink, np.ones((3, 3)))
    number = runs.components()
    assert number.max(initial=-1) + 1 == count
    places = zip(*np.divmod(runs.starts, runs.stride), strict=True)
    pairs = {(labels[place], int(own)) for place, own in zip(places, number, strict=True)}
    assert len(pairs) == count
    p = np.pad(ink, 1)
    straight = changes(p[:, 1:], p[:, :-1]) + changes(p[1:], p[:-1])
    diagonal = changes(p[1:, 1:], p[:-1, :-1]) + changes(p[1:, :-1], p[:-1, 1:])
    assert runs.contour() == pytest.approx(math.pi / 8 * (straight + diagonal / math.sqrt(2)))


def test_pages_are_longer_than_a_band() -> None:
    ink = np.zeros((900, 5), bool)
    ink[100:800, 2] = True
    runs = Runs.of(ink)
    assert (runs.area(), set(runs.components())) == (700, {0})
    assert runs.starts.tolist() == [6 * row + 2 for row in range(100, 800)]


def test_runs_end_with_their_row() -> None:
    runs = Runs.of(np.ones((3, 4), bool))
    assert (runs.starts.tolist(), runs.ends.tolist()) == ([0, 5, 10], [4, 9, 14])
    corners = Runs.of(np.array([[False, True], [False, False], [True, False]]))
    assert set(corners.components()) == {0, 1}  # the end of a row is no neighbour of the next one's beginning


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (3, 3)])
def test_a_page_may_have_no_ink(shape: tuple[int, int]) -> None:
    runs = Runs.of(np.zeros(shape, bool))
    assert (runs.area(), len(runs.components()), runs.contour()) == (0, 0, 0)


@pytest.mark.parametrize("degrees", [0, 15, 22.5, 30, 45, 60, 90])
def test_contours_are_as_long_in_all_directions(degrees: float) -> None:
    y, x = np.mgrid[-300:300, -300:300]
    turn = np.radians(degrees)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    bar = (np.abs(along) < 200.25) & (np.abs(across) < 50.25)
    assert Runs.of(bar).contour() == pytest.approx(1002, rel=0.06)
