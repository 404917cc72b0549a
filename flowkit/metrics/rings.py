"""Nearest features in chessboard distance and inside a box, where all equally near features count.

A ring is the square of pixels at one distance from its centre. "The first ring with a feature" is not the
nearest feature: all features on that ring take part, and the search ends at a box around the centre. A ring's
sides are segments of rows and columns, so its maximum is four range maxima, looked up in maxima over 2^k
pixels (Bender and Farach-Colton, "The LCA Problem Revisited", 2000).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Index = NDArray[np.intp]
Mask = NDArray[np.bool_]


class Boxes(NamedTuple):
    """Boxes: first and last row, first and last column, one of each per centre."""

    top: Index
    bottom: Index
    left: Index
    right: Index


_Sides = tuple[tuple[Index, Index], Index, Index]


def chessboard(features: Mask) -> NDArray[np.int32]:
    """Return the distance of every pixel to the nearest feature; 65535 if there is none at all."""
    if not features.any():
        return np.full(features.shape, 65535, np.int32)
    return np.asarray(ndimage.distance_transform_cdt(~features, metric="chessboard"), np.int32)


class Rings:
    """The first ring with a feature around each of some pixels, inside their boxes.

    Args:
        features: (H, W).
        at: flat indices of the centres.
        boxes: of the centres; a centre lies in its own.
        distance: `chessboard(features)`.

    Attributes:
        found: which centres have a feature in their box at all.
    """

    def __init__(self, features: Mask, at: Index, boxes: Boxes, distance: NDArray[np.int32]) -> None:
        self.y, self.x = np.divmod(at, features.shape[1])
        self.boxes = boxes
        self.radius = distance.reshape(-1)[at].astype(np.intp)
        self.found = np.ones(len(at), bool)
        self._stay_inside(features)
        height, width = features.shape
        self._levels = [self._by_level(False, width), self._by_level(True, height)]

    def maximum(self, values: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the largest of `values` (H, W) on each ring; values are 0 or more at features, else 0."""
        best = np.zeros(len(self.y), np.int32)
        for transposed in (False, True):
            table = np.array(values.T if transposed else values, order="C")
            for level, levels in enumerate(self._levels[transposed]):
                if level:
                    half = 1 << level - 1
                    np.maximum(table[:, :-half], table[:, half:], out=table[:, :-half])
                for who, *ends in levels:
                    low, high = (table.reshape(-1)[end] for end in ends)
                    best[who] = np.maximum(best[who], np.maximum(low, high))
        return best

    def last(self, ranks: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.int64]:
        """Return, for every pixel, the highest rank of centres on whose ring it lies; -1 for none.

        The dual of `maximum`: segments are painted at the level of their length, from long to short.
        """
        best = np.full(shape, -1, np.int64)
        for transposed in (False, True):
            table = np.full(shape[::-1] if transposed else shape, -1, np.int64)
            painted = np.empty_like(table)
            for level, levels in reversed(list(enumerate(self._levels[transposed]))):
                for who, *ends in levels:
                    for end in ends:
                        np.maximum.at(table.reshape(-1), end, ranks[who])
                if level:
                    half = 1 << level - 1
                    np.copyto(painted, table)
                    np.maximum(table[:, half:], painted[:, :-half], out=table[:, half:])
            np.maximum(best, table.T if transposed else table, out=best)
        return best

    def _sides(self, transposed: bool, who: Index | slice = slice(None)) -> _Sides:
        """Return both sides of one direction, cut off at the boxes: lines, and their first and last place."""
        y, x, radius = self.y[who], self.x[who], self.radius[who]
        top, bottom, left, right = (edge[who] for edge in self.boxes)
        if transposed:
            y, x, top, bottom, left, right = x, y, left, right, top, bottom
        lines = np.maximum(y - radius, top), np.minimum(y + radius, bottom)
        return lines, np.maximum(x - radius, left), np.minimum(x + radius, right)

    def _by_level(self, transposed: bool, width: int) -> list[list[tuple[Index, Index, Index]]]:
        """Yield, for k = 0, 1, ..., the sides of 2^k to 2^(k+1) - 1 pixels, and where two stretches begin."""
        lines, first, last = self._sides(transposed)
        level = np.frexp((last - first + 1).astype(np.float32))[1] - 1
        found = []
        for k in range(int(level.max(initial=-1)) + 1):
            who = np.flatnonzero(level == k)
            begin, end = first[who], last[who] + 1 - (1 << k)
            found.append([(who, line[who] * width + begin, line[who] * width + end) for line in lines])
        return found

    def _stay_inside(self, features: Mask) -> None:
        """Look further where the first ring leaves the box and has no feature inside it."""
        top, bottom, left, right = self.boxes
        y, x, radius = self.y, self.x, self.radius
        out = (y - radius < top) | (y + radius > bottom) | (x - radius < left) | (x + radius > right)
        who = np.flatnonzero(out)
        across = np.pad(np.cumsum(features, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
        down = np.pad(np.cumsum(features.T, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
        while len(who):
            hit = np.zeros(len(who), bool)
            for transposed, sums in ((False, across), (True, down)):
                lines, first, last = self._sides(transposed, who)
                for line in lines:
                    hit |= sums[line, last + 1] > sums[line, first]
            who = who[~hit]
            y, x, radius = self.y[who], self.x[who], self.radius[who]
            top, bottom, left, right = (edge[who] for edge in self.boxes)
            spent = (
                (y - radius <= top) & (y + radius >= bottom) & (x - radius <= left) & (x + radius >= right)
            )
            self.found[who[spent]] = False
            who = who[~spent]
            self.radius[who] += 1
