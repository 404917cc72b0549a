"""Pixels between the views that are decided: they follow their neighbours, at any scale and at every edge."""

from __future__ import annotations

import numpy as np
import pytest

from flowkit.pages import between
from flowkit.pages.between import fill, is_decided
from flowkit.pages.results import Results

SHAPES = [(2, (7, 9)), (2, (1, 6)), (3, (10, 14)), (3, (2, 2)), (4, (9, 13)), (5, (31, 20)), (8, (3, 40))]


def erased(ink: np.ndarray, step: int, value: int = 0) -> np.ndarray:
    """Return a copy in which what is not decided has this value."""
    copy = ink.copy()
    for row in range(step):
        for col in range(step):
            if not is_decided(row, col, step):
                copy[row::step, col::step] = value
    return copy


def by_hand(ink: np.ndarray, grey: np.ndarray, step: int) -> np.ndarray:
    """Fill pixel by pixel; edges are mirrored."""
    out, (height, width) = ink.copy(), ink.shape
    for y, x in np.ndindex(ink.shape):
        if is_decided(y % step, x % step, step):
            continue
        votes, light = [], []
        for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            if is_decided((y % step + down) % step, (x % step + right) % step, step):
                v = y - down if not 0 <= y + down < height else y + down
                u = x - right if not 0 <= x + right < width else x + right
                votes.append(bool(ink[v, u]))
                light.append(float(grey[v, u]))
        even = 2 * sum(votes) == len(votes)
        out[y, x] = grey[y, x] < np.mean(light) if even else 2 * sum(votes) > len(votes)
    return out


@pytest.mark.parametrize("step", range(2, 9))
def test_half_of_the_views_are_decided_and_every_other_one_has_three_decided_neighbours(step: int) -> None:
    decided = np.array([[is_decided(row, col, step) for col in range(step)] for row in range(step)])
    assert decided.sum() == (step**2 + 1) // 2
    around = sum(np.roll(decided, shift, axis).astype(int) for shift in (-1, 1) for axis in (0, 1))
    assert around[~decided].min() >= (4 if step % 2 == 0 else 3)


@pytest.mark.parametrize(("step", "shape"), [pair for pair in SHAPES if min(pair[1]) > pair[0]])
@pytest.mark.parametrize("band", [1, 1000])
def test_pixels_follow_most_of_their_neighbours(
    step: int, shape: tuple[int, int], band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(between, "_BAND", band)
    rng = np.random.default_rng(step)
    ink, grey = rng.random(shape) < 0.4, rng.integers(0, 256, shape, dtype=np.uint8)
    expected = by_hand(ink, grey, step)
    kept = np.stack([erased(ink.astype(np.uint8), step) * 0b101, erased(~ink, step).astype(np.uint8)])
    results = Results(erased(ink, step), erased(ink.astype(np.uint16) * 300, step), kept)
    fill(results, lambda rows: grey[rows], step)
    inner = (slice(1, -1), slice(1, -1))  # at an edge, a scale of 3 has pixels with neighbours out of phase
    for found, wanted in ((results.binary, expected), (results.votes, expected * 300)):
        assert np.array_equal(found[inner] if step % 2 else found, wanted[inner] if step % 2 else wanted)
    assert np.array_equal(results.kept[0] & 1, results.binary)
    assert np.array_equal(results.kept[0] >> 2, results.binary)
    assert np.array_equal(results.kept[1][inner], by_hand(~ink, grey, step)[inner])


@pytest.mark.parametrize(("step", "shape"), SHAPES)
@pytest.mark.parametrize("ink", [False, True])
def test_all_ink_and_all_paper_stay(step: int, shape: tuple[int, int], ink: bool) -> None:
    step = min(step, *shape)
    whole = np.full(shape, ink)
    results = Results(erased(whole, step), None, None)
    fill(results, lambda rows: np.zeros(shape, np.uint8)[rows], step)
    assert np.array_equal(results.binary, whole)


def test_lines_of_one_pixel_and_corners_stay() -> None:
    ink = np.zeros((12, 16), bool)
    ink[3, 2:14] = ink[2:10, 5] = True
    ink[7:11, 9:15] = True
    results = Results(erased(ink, 2), None, None)
    fill(results, lambda rows: np.where(ink, 40, 220).astype(np.uint8)[rows], 2)
    ends = [(3, 2), (3, 13), (2, 5), (9, 5)]  # have one neighbour of ink
    lost = {(int(y), int(x)) for y, x in np.argwhere(ink & ~results.binary)}
    assert lost <= set(ends)
    assert not (results.binary & ~ink).any()
