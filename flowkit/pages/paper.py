"""The paper of a page: its colour at every place, as smooth as it can be and still follow stains and light.

Means of the pixels without ink, in squares of a few pixels. Where a square has little paper, its value
leans on that of the squares around it, from fine to coarse (pull-push; Gortler et al., The Lumigraph,
SIGGRAPH 1996).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowkit.images.picture import Picture

BAND = 512
"""Rows of a page that are worked on at a time."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEAN = 0.25  # of a square's pixels: the weight of the squares around it

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Squares:
    """A smooth image, such as the paper of a page, in squares.

    Attributes:
        cells: (rows, columns, C) in [0, 1], its means in squares of `side` x `side` pixels.
        side: of a square, in pixels.
    """

    cells: Floats
    side: int

    def window(self, rows: slice, width: int) -> Floats:
        """Return some rows of an image so wide, (h, width, C), interpolated linearly."""
        low, high, share = _between(np.arange(rows.start, rows.stop), self.side, self.cells.shape[0])
        lines = self.cells[low] * (1 - share)[:, None, None] + self.cells[high] * share[:, None, None]
        low, high, share = _between(np.arange(width), self.side, self.cells.shape[1])
        found: Floats = lines[:, low] * (1 - share)[:, None] + lines[:, high] * share[:, None]
        return found


def find_paper(picture: Picture, covered: Mask, side: int) -> Squares:
    """Estimate the paper of a page.

    Args:
        picture: the page.
        covered: (H, W), what is not paper: ink, with its blurred edges.
        side: of the squares, in pixels.
    """
    parts, counts = [], []
    for rows in bands(picture.size[0], side):
        values = floats(picture, rows)
        free = ~covered[rows]
        weighed = np.concatenate([values * free[..., None], free[..., None]], 2, dtype=np.float32)
        cells = sums(weighed, side)
        parts.append(cells[..., :-1])
        counts.append(cells[..., -1:])
    return Squares(filled(np.concatenate(parts), np.concatenate(counts), _LEAN * side * side), side)


def bands(height: int, side: int = 1) -> Iterator[slice]:
    """Yield the rows of a page in bands of whole squares."""
    step = max(1, BAND // side) * side
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def floats(picture: Picture, rows: slice) -> Floats:
    """Return rows of a page as floats in [0, 1], (h, W, C)."""
    pixels = picture.pixels[rows]
    if pixels.dtype == np.float32:
        return pixels
    return np.asarray(pixels * np.float32(1 / np.iinfo(pixels.dtype).max), np.float32)


def sums(values: Floats, side: int) -> Floats:
    """Sum squares of (h, w, C); the last may be cut."""
    rows = np.add.reduceat(values, np.arange(0, values.shape[0], side), axis=0)
    return np.asarray(np.add.reduceat(rows, np.arange(0, values.shape[1], side), axis=1))


def filled(parts: Floats, counts: Floats, lean: float) -> Floats:
    """Return means of squares, which lean on those of squares twice as large as `lean` pixels would."""
    if parts.shape[:2] == (1, 1):
        return parts / counts if counts.any() else np.ones_like(parts)
    coarse = filled(sums(parts, 2), sums(counts, 2), lean)
    around = Squares(coarse, 2).window(slice(0, parts.shape[0]), parts.shape[1])
    return np.asarray((parts + lean * around) / (counts + lean), np.float32)


def luma_of(values: Floats) -> Floats:
    """Return the luma (h, w) of grey (h, w, 1) or RGB (h, w, 3), by the weights of ITU-R BT.601."""
    return values[..., 0] if values.shape[2] == 1 else values @ _LUMA


def _between(
    at: NDArray[np.int64], side: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return the squares on either side of each pixel, and the weight of the second."""
    place = np.clip((at + 0.5) / side - 0.5, 0, count - 1)
    low = place.astype(np.int64)
    return low, np.minimum(low + 1, count - 1), (place - low).astype(np.float32)
