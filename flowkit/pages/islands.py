"""Rectangles of a page that are computed where the rest is skipped, each with its surroundings.

What lies between them costs nothing. The encoder sees a rectangle with its surroundings, the flow computes
the rectangle alone. Rectangles whose surroundings cost more than the gap between them become one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.pages.tiles import Span, Tile

CONTEXT = 96
"""Pixels around a part that the encoder sees; what is farther away hardly changes what is ink in it."""

MOST = 0.85
"""Share of the page above which it is computed as a whole."""

EACH = 96 * 96
"""Pixels that a further part costs, whatever its size."""

_PARTS = 48  # to choose from: where there are more, near ones are joined first


class Box(NamedTuple):
    """A rectangle of a page, in pixels."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """Return the number of its pixels."""
        return (self.bottom - self.top) * (self.right - self.left)

    def grown(self, around: int, step: int, size: tuple[int, int]) -> Box:
        """Return it with so much more on every side, cut at the page; it begins and ends on multiples."""
        height, width = size
        return Box(
            max(0, self.top - around) // step * step,
            min(height, -(-(self.bottom + around) // step) * step),
            max(0, self.left - around) // step * step,
            min(width, -(-(self.right + around) // step) * step),
        )


def islands(
    cells: NDArray[np.bool_], side: int, size: tuple[int, int], *, step: int, context: int = CONTEXT
) -> list[Tile]:
    """Return disjoint parts of a page that hold all cells that are True, from the top down.

    Each is a tile: its core is the part, its window what the encoder sees.

    Args:
        cells: of `side` x `side` pixels, from the page's top left.
        side: see there.
        size: height and width of the page.
        step: parts begin on its multiples, and end there or with the page.
        context: pixels of surroundings.
    """

    def cost(box: Box) -> int:
        return box.grown(context, step, size).area + EACH

    found = [box.grown(0, step, size) for box in _boxes(cells, side)]
    while (pair := _to_join(found, cost)) is not None:
        joined = _around(*pair)
        found = [box for box in found if box not in pair] + [joined]
    if sum(map(cost, found)) > MOST * size[0] * size[1]:
        return [whole(size)]
    return [_tile(box, box.grown(context, step, size)) for box in sorted(found)]


def whole(size: tuple[int, int]) -> Tile:
    """Return a page as one part."""
    box = Box(0, size[0], 0, size[1])
    return _tile(box, box)


def _tile(inner: Box, outer: Box) -> Tile:
    return Tile(
        Span(inner.top, inner.bottom, outer.top, outer.bottom),
        Span(inner.left, inner.right, outer.left, outer.right),
    )


def _boxes(cells: NDArray[np.bool_], side: int) -> list[Box]:
    """Return the rectangles of connected cells, disjoint or not."""
    found: list[Box] = []
    for reach in itertools.count(1, 2):
        near = ndimage.maximum_filter(cells, reach, mode="constant")
        labels, count = ndimage.label(near, np.ones((3, 3)))
        if count <= _PARTS:
            inside = ndimage.find_objects(np.where(cells, labels, 0))
            found = [Box(r.start * side, r.stop * side, c.start * side, c.stop * side) for r, c in inside]
            break
    return found


def _around(a: Box, b: Box) -> Box:
    return Box(min(a.top, b.top), max(a.bottom, b.bottom), min(a.left, b.left), max(a.right, b.right))


def _to_join(found: list[Box], cost: Callable[[Box], int]) -> tuple[Box, Box] | None:
    """Return the two rectangles whose union saves most, if they overlap or any union saves work."""

    def gain(pair: tuple[Box, Box]) -> float:
        a, b = pair
        if a.top < b.bottom and b.top < a.bottom and a.left < b.right and b.left < a.right:
            return math.inf
        return cost(a) + cost(b) - cost(_around(a, b))

    best = max(itertools.combinations(found, 2), key=gain, default=None)
    return best if best is not None and gain(best) >= 0 else None
