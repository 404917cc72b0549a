"""Review scores: the pages, and parts of a page, to look at first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowkit.images.dpi import Dpi
from flowkit.pages.strokes import CELL

TILE = 256
"""Side of a part at 300 dpi, in pixels: two or three lines of print."""

LEAST_INK = 0.01
"""Least share of ink to assume, so that a few specks on an empty page do not give it a bad score."""


class Part(NamedTuple):
    """A part of a page, and its review score."""

    score: float
    rows: slice
    cols: slice


class Review(NamedTuple):
    """The doubt about the ink of a page and of its parts.

    The score is 1 - the F-measure to be expected, if pixels are ink with the probability p that the samples
    gave them, and the binary image B says what it says:

        wrong = sum |B - p|,    right = max(sum_{B = 1} p, 0.01 pixels),    score = wrong / (2 right + wrong)

    between 0 (all samples agree, and so does the decision) and 1. To the wrong pixels are added those of
    strokes that a second look at the page misses in the result, where there are enough of them for a note
    (`flowkit.pages.safety_net`). The rest is the model's own doubt: of what the model is wrong about and
    certain of, it knows nothing.
    """

    score: float
    """Score of the page."""
    tiles: NDArray[np.float32]
    """Scores of squares of `side` x `side` pixels, (rows, columns), from the top left; the last are cut."""
    side: int
    """Side of a square: 256 pixels at 300 dpi, or if the resolution is unknown."""

    def worst(self) -> Iterator[Part]:
        """Yield the squares from the highest score to the lowest."""
        order = np.argsort(-self.tiles, axis=None, kind="stable")
        for row, col in zip(*np.unravel_index(order, self.tiles.shape), strict=True):
            top, left = int(row) * self.side, int(col) * self.side
            yield Part(
                float(self.tiles[row, col]), slice(top, top + self.side), slice(left, left + self.side)
            )


def review(
    binary: NDArray[np.bool_],
    votes: NDArray[np.bool_] | NDArray[np.uint8] | NDArray[np.uint16],
    samples: int,
    dpi: Dpi,
    lost: NDArray[np.float32] | None = None,
) -> Review:
    """Score a page by the number of `samples` that call each of its pixels ink.

    `lost` are pixels that are wrong all the same, in cells of `CELL` x `CELL`.
    """
    side = TILE if dpi is None else max(1, round(TILE * min(dpi) / 300))
    p = np.arange(samples + 1, dtype=np.float32) / np.float32(samples)
    cols = np.arange(0, binary.shape[1], side)
    wrong, right, area = [], [], []
    for top in range(0, binary.shape[0], side):  # a row of squares at a time: no float for every pixel
        ink, said = binary[top : top + side], p[votes[top : top + side].astype(np.intp)]
        wrong.append(_sums(np.where(ink, 1 - said, said), cols))
        right.append(_sums(np.where(ink, said, 0), cols))
        area.append(len(ink) * np.diff(cols, append=binary.shape[1]))
    sums = (np.stack(values).astype(np.float64) for values in (wrong, right, area))
    tile_wrong, tile_right, tile_area = sums
    if lost is not None:
        rows, columns = np.indices(lost.shape) * CELL // side
        np.add.at(tile_wrong, (rows, columns), lost)
    return Review(
        float(_score(tile_wrong.sum(), tile_right.sum(), tile_area.sum())),
        _score(tile_wrong, tile_right, tile_area).astype(np.float32),
        side,
    )


def _sums(values: NDArray[np.float32], cols: NDArray[np.int64]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = np.add.reduceat(values.sum(0, dtype=np.float64), cols)
    return sums


def _score(
    wrong: NDArray[np.float64], right: NDArray[np.float64], area: NDArray[np.float64]
) -> NDArray[np.float64]:
    return wrong / (2 * np.maximum(right, LEAST_INK * area) + wrong)
