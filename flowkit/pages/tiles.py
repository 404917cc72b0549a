"""Tiling of pages: the cores of the tiles make up the whole page.

A tile's core is what is kept of it; its window is what the model sees. Windows reach beyond cores by as far
as anything can have an influence, so a core comes out as it would from the whole page, and no seam can show.
(Up to rounding: PyTorch sums in another order for another shape, so that a pixel in a million may flip.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOW = 2_250_000
"""Most pixels of a window that is encoded separately: larger windows have relatively less margin."""

STREAMED_WINDOW = 262_144
"""Most TARGET pixels of a window whose features come from a stream: its margin is small, and its data fit
into the caches."""

_MOST = 256


class Span(NamedTuple):
    """One tile along one axis, in image pixels: the core [start, stop) inside the window [first, last)."""

    start: int
    stop: int
    first: int
    last: int


class Tile(NamedTuple):
    """One tile of a page."""

    rows: Span
    cols: Span


def round_up(length: int, step: int) -> int:
    """Return the smallest multiple of `step` that is not below `length`.

    >>> round_up(37, 8), round_up(40, 8)
    (40, 40)
    """
    return -(-length // step) * step


def spans(length: int, *, count: int, margin: int, step: int) -> list[Span]:
    """Cut an axis into `count` cores of nearly equal length.

    Cores and windows begin on multiples of `step`; windows end on them too, or at the end of the axis.

    >>> spans(100, count=3, margin=5, step=8)
    [Span(start=0, stop=32, first=0, last=40), Span(start=32, stop=64, first=24, last=72), \
Span(start=64, stop=100, first=56, last=100)]
    """
    return [
        Span(*ends) for ends in zip(*(at.tolist() for at in _ends(length, count, margin, step)), strict=True)
    ]


def _ends(length: int, count: int, margin: int, step: int) -> tuple[NDArray[np.int64], ...]:
    """Return the starts, stops, firsts and lasts of `spans`."""
    units = math.ceil(length / step)
    cuts = np.append(np.arange(count) * units // count * step, length)
    around = round_up(margin, step)
    return cuts[:-1], cuts[1:], np.maximum(0, cuts[:-1] - around), np.minimum(length, cuts[1:] + around)


def tiles(
    height: int, width: int, *, core: int | None = None, margin: int, step: int, window: int = WINDOW
) -> list[Tile]:
    """Cut a page of `height` x `width` pixels, row by row.

    Args:
        height: of the page, a multiple of `model.multiple`.
        width: of the page, a multiple of `model.multiple`.
        core: largest side of a core (though never below `step`); by default as few and as large tiles as
            keep windows below `window`.
        margin: how far a window must reach beyond its core.
        step: where cores and windows may begin.
        window: most pixels of a window.
    """
    if core is None:
        down, across = _counts(height, width, margin, step, window)
    else:
        down, across = (math.ceil(math.ceil(side / step) / max(1, core // step)) for side in (height, width))
    rows = spans(height, count=down, margin=margin, step=step)
    cols = spans(width, count=across, margin=margin, step=step)
    return [Tile(row, col) for row in rows for col in cols]


def moved(tile: Tile, down: int, right: int) -> Tile:
    """Move a tile by so many pixels.

    >>> moved(Tile(Span(0, 8, 0, 10), Span(8, 16, 6, 18)), 32, -6)
    Tile(rows=Span(start=32, stop=40, first=32, last=42), cols=Span(start=2, stop=10, first=0, last=12))
    """
    return Tile(*(Span(*(at + by for at in span)) for span, by in zip(tile, (down, right), strict=True)))


def widened(tile: Tile, outer: Tile, around: int) -> Tile:
    """Let a tile's window reach so far around its core, if that is inside the windows of `outer`."""
    return Tile(
        *(
            Span(start, stop, max(most.first, start - around), min(most.last, stop + around))
            for (start, stop, *_), most in zip(tile, outer, strict=True)
        )
    )


def evened(found: Sequence[Tile], outer: Tile, step: int) -> list[Tile]:
    """Let all windows be as large as the largest, where `outer` has the room, from multiples of `step` on.

    oneDNN compiles code for each new shape of an operation, which can take longer than the operation.

    >>> evened([Tile(Span(0, 8, 0, 10), Span(0, 4, 0, 4)), Tile(Span(8, 16, 6, 18), Span(0, 4, 0, 4))],
    ...        Tile(Span(0, 16, 0, 18), Span(0, 4, 0, 4)), 2)[0].rows
    Span(start=0, stop=8, first=0, last=12)
    """
    longest = [max(span.last - span.first for span in along) for along in zip(*found, strict=True)]

    def even(span: Span, most: Span, length: int) -> Span:
        first = max(most.first, min(span.first, (most.last - length) // step * step))
        return Span(span.start, span.stop, first, min(most.last, max(span.last, first + length)))

    return [Tile(*map(even, tile, outer, longest)) for tile in found]


def _counts(height: int, width: int, margin: int, step: int, window: int) -> tuple[int, int]:
    """Choose the number of rows and columns of tiles: the least work in windows of `window` pixels."""
    if height * width <= window:  # one tile has no margins
        return 1, 1
    sizes = []
    for side in (height, width):
        windows = []
        for count in range(1, min(_MOST, math.ceil(side / step)) + 1):
            *_, first, last = _ends(side, count, margin, step)
            windows.append(((last - first).max(), (last - first).sum()))
        sizes.append(np.array(windows))
    down, across = sizes
    areas = np.maximum(window, np.outer(down[:, 0], across[:, 0]))
    work = np.where(areas == areas.min(), np.outer(down[:, 1], across[:, 1]), np.inf)
    best = np.unravel_index(work.argmin(), work.shape)
    return int(best[0]) + 1, int(best[1]) + 1
