"""Pixels between the views of a page that are decided: each follows its neighbours.

At a scale of k, every other one of the k x k views is decided, as the white squares of a chessboard. A pixel
between them is ink if most of its four neighbours are; if two are, it is ink where it is darker than their
mean. Strokes are several pixels wide at these scales. What can be lost is a single pixel, and the last one
of a line that is a pixel wide.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowkit.pages.results import Results

_BAND = 512  # rows at a time: what is needed beside a page is a part of it

_AROUND = ((-1, 0), (1, 0), (0, -1), (0, 1))


def is_decided(row: int, col: int, step: int) -> bool:
    """Tell whether the view of every `step`-th pixel from this row and column on is decided.

    For an even step these are the views on the diagonal along which writing slants; for an odd one, those of
    which there is one more.

    >>> [[is_decided(row, col, 2) for col in range(2)] for row in range(2)]
    [[False, True], [True, False]]
    """
    return step == 1 or (row + col) % 2 == 1 - step % 2


def fill(results: Results, grey: Callable[[slice], NDArray[Any]], step: int) -> None:
    """Fill in the pixels of all views that were not decided.

    Counts of votes follow those of the neighbours in the same way: of four, one of the two in the middle.

    Args:
        results: of a page, with the views that are decided.
        grey: returns rows of the page, (h, W), the lighter the larger.
        step: every how many-th pixel is a view's.
    """
    height = results.binary.shape[0]
    for top in range(0, height if step > 1 else 0, _BAND * step):
        rows = slice(top, min(height, top + _BAND * step))
        around = _reflected(np.arange(rows.start - 1, rows.stop + 1), height)
        first, last = int(around.min()), int(around.max()) + 1
        inside, light = around - first, grey(slice(first, last))
        for plane in (results.binary, results.votes):
            if plane is not None:
                _fill(plane[rows], plane[first:last], light, inside, step)
        for byte in () if results.kept is None else results.kept:
            for bit in range(8):
                sample = byte[first:last] >> bit & 1
                own = sample[rows.start - first : rows.stop - first].copy()
                _fill(own, sample, light, inside, step)
                byte[rows] |= own << bit


def _fill(
    own: NDArray[Any], near: NDArray[Any], light: NDArray[Any], rows: NDArray[np.intp], step: int
) -> None:
    """Fill in rows of one array; `rows` are theirs in `near` and `light`, with one above and one below."""
    height, width = own.shape
    cols = _reflected(np.arange(-1, width + 1), width)
    values, grey = near[rows][:, cols], light[rows][:, cols]
    for row, col in itertools.product(range(min(step, height)), range(min(step, width))):
        if is_decided(row, col, step):
            continue
        places = [
            (slice(1 + row + down, 1 + height + down, step), slice(1 + col + right, 1 + width + right, step))
            for down, right in _AROUND
            if is_decided((row + down) % step, (col + right) % step, step)
        ]
        low, high = _middle([values[place] for place in places])
        target = own[row::step, col::step]
        target[...] = low
        split = np.nonzero(low != high)
        sums = sum(grey[place][split].astype(np.int32) for place in places)
        mine = grey[1 + row : 1 + height : step, 1 + col : 1 + width : step][split].astype(np.int32)
        darker = len(places) * mine < sums
        target[split] = np.where(darker, high[split], low[split])


def _middle(values: list[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the two middle ones of four values, or twice that of three, at every place."""
    a, b, *others = values
    low, high = np.minimum(a, b), np.maximum(a, b)
    if len(others) == 1:
        median = np.maximum(low, np.minimum(high, others[0]))
        return median, median
    inner = np.maximum(low, np.minimum(*others)), np.minimum(high, np.maximum(*others))
    return np.minimum(*inner), np.maximum(*inner)


def _reflected(places: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Reflect places just outside of [0, length) at its ends."""
    inside = np.where(places < length, np.abs(places), 2 * (length - 1) - places)
    return np.clip(inside, 0, length - 1)
