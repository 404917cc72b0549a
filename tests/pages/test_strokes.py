"""Stroke widths by granulometry."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages.strokes import CELL, WIDTHS, closing, grey_of, strokes


def page(grey: np.ndarray) -> Picture:
    return Picture(np.asarray(grey, np.uint8)[..., None])


def bars(width: int, size: tuple[int, int] = (301, 417), dark: int = 40, light: int = 220) -> np.ndarray:
    """Upright bars of a width, five times as far apart, on noisy paper."""
    columns = np.arange(size[1]) % (6 * width) < width
    grey = np.where(columns[None, :], dark, light) + np.zeros(size)
    grey[:20] = grey[-20:] = light
    return np.clip(grey + np.random.default_rng(0).normal(0, 3, size), 0, 255)


def middle(found: np.ndarray) -> float:
    return float(WIDTHS[np.searchsorted(np.cumsum(found), found.sum() / 2)])


@pytest.mark.parametrize("side", [2, 3, 4, 5, 7, 16])
def test_a_closing_is_that_of_scipy(side: int) -> None:
    grey = np.random.default_rng(side).integers(0, 256, (61, 47), np.uint8)
    ours = closing(grey, side)
    # scipy takes another pixel of an even square for its middle, which a closing does not show inside
    inner = np.s_[side:-side, side:-side]
    assert np.array_equal(ours[inner], ndimage.grey_closing(grey, (side, side))[inner])


@pytest.mark.parametrize("width", [1, 2, 3, 5, 9, 15, 27, 47])
def test_bars_have_their_width(width: int) -> None:
    found = middle(strokes(page(bars(width, (420, 700)))).lengths)
    assert 0.7 * width <= found <= 1.45 * width


def test_contrast_and_light_do_not_matter() -> None:
    slope = np.linspace(0.5, 1.0, 417)[None, :]
    for grey in (bars(4, dark=140, light=200), bars(4) * slope):
        assert 3 <= middle(strokes(page(grey)).lengths) <= 5


def test_every_dark_pixel_is_counted_once() -> None:
    found = strokes(page(bars(4)))
    assert found.counts.sum(0, dtype=np.int64).max() <= CELL * CELL
    dark = bars(4) < 130
    assert found.counts.sum(dtype=np.int64) == pytest.approx(dark.sum(), rel=0.1)
    assert found.strong.sum(dtype=np.int64) == pytest.approx(dark.sum(), rel=0.1)
    assert found.counts.shape[1:] == found.strong.shape == found.depth.shape == (38, 53)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (17, 23), (64, 9)])
def test_pages_of_any_size_and_depth(size: tuple[int, int]) -> None:
    for pixels in (
        np.full((*size, 3), 200, np.uint8),
        np.full((*size, 1), 50_000, np.uint16),
        np.full((*size, 1), 0.8, np.float32),
    ):
        found = strokes(Picture(pixels))
        assert found.counts.sum() == 0
        assert grey_of(Picture(pixels)).shape == size
