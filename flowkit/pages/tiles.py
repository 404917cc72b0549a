"""Where to cut a page, so that the pieces put together are the whole page, to the last pixel.

A tile's core is what is kept of it; its window is what the model sees. Windows reach beyond cores by as far
as anything can have an influence, so a core comes out as it would from the whole page, and no seam can show.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple


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
    """The smallest multiple of `step` that is not below `length`.

    >>> round_up(37, 8), round_up(40, 8)
    (40, 40)
    """
    return -(-length // step) * step


def spans(length: int, *, core: int, margin: int, step: int) -> list[Span]:
    """Cut an axis into cores of `core` pixels at most (but `step` at least) and nearly equal length.

    Cores and windows begin on multiples of `step`; windows end on them too, or at the end of the axis.

    >>> spans(100, core=48, margin=5, step=8)
    [Span(start=0, stop=32, first=0, last=40), Span(start=32, stop=64, first=24, last=72), \
Span(start=64, stop=100, first=56, last=100)]
    """
    units = math.ceil(length / step)
    count = math.ceil(units / max(1, core // step))
    cuts = [index * units // count * step for index in range(count)] + [length]
    around = round_up(margin, step)
    return [
        Span(start, stop, max(0, start - around), min(length, stop + around))
        for start, stop in itertools.pairwise(cuts)
    ]


def tiles(height: int, width: int, *, core: int, margin: int, step: int) -> list[Tile]:
    """Cut a page of `height` x `width` pixels, row by row; see `spans`."""
    across = spans(width, core=core, margin=margin, step=step)
    return [
        Tile(rows, cols) for rows in spans(height, core=core, margin=margin, step=step) for cols in across
    ]
