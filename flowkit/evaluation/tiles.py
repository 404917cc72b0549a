"""Square tiles of pages: their errors, and pictures of the worst."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Ink = NDArray[np.bool_]

SIDE = 64
"""Side of a tile in pixels: a word or two."""

PICTURE = 160
"""Side of a tile in the contact sheet."""

MISSED, INVENTED = (0, 114, 178), (213, 94, 0)
"""Blue for missed ink, vermilion for paper taken for ink: colour-blind readers can distinguish them."""

_LABEL, _GAP = 14, 6


def tile_sums(values: NDArray[np.number] | Ink, side: int = SIDE) -> NDArray[np.float64]:
    """Sum (H, W) over every side x side tile, row by row; those at the end are smaller.

    >>> tile_sums(np.ones((3, 5)), 2).tolist()
    [4.0, 4.0, 2.0, 2.0, 2.0, 1.0]
    """
    rows, cols = (np.arange(0, n, side) for n in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values.astype(np.float64), rows, axis=0), cols, axis=1)
    return np.asarray(sums.ravel())


class _Tile(NamedTuple):
    errors: int
    order: int  # among equals the first ones are kept
    label: str
    image: NDArray[np.uint8]
    coloured: NDArray[np.uint8]


@dataclass
class WorstTiles:
    """The tiles with most wrong pixels of all pages; only their pictures are kept.

    Args:
        most: number of tiles.
        of_a_page: largest number of tiles from one page, so that a single bad page does not hide the others.
    """

    most: int = 16
    of_a_page: int = 2
    kept: list[_Tile] = field(default_factory=list)
    added: int = 0

    def add(self, label: str, image: NDArray[np.uint8], ink: Ink, truth: Ink) -> None:
        """Add a page: image (H, W, 3), result and truth (H, W)."""
        errors = tile_sums(ink ^ truth, PICTURE).astype(int)
        across = -(-truth.shape[1] // PICTURE)
        for index in np.argsort(-errors, kind="stable")[: self.of_a_page].tolist():
            if not errors[index]:
                break
            y, x = (PICTURE * place for place in divmod(index, across))
            window = np.s_[y : y + PICTURE, x : x + PICTURE]
            text = f"{label}  ({x}, {y})  {errors[index]}"
            self.added += 1
            picture = _Tile(
                int(errors[index]), -self.added, text, image[window], colour(ink[window], truth[window])
            )
            heapq.heappush(self.kept, picture)
            if len(self.kept) > self.most:
                heapq.heappop(self.kept)

    def sheet(self, columns: int = 4) -> NDArray[np.uint8]:
        """Return the tiles, worst first: the scan, and beside it the result with errors coloured."""
        width, height = 2 * PICTURE + 2 * _GAP, PICTURE + _LABEL + _GAP
        rows = -(-len(self.kept) // columns) or 1
        sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), "lightgrey")
        pen = ImageDraw.Draw(sheet)
        for number, tile in enumerate(sorted(self.kept, reverse=True)):
            row, column = divmod(number, columns)
            left, top = _GAP + column * width, _GAP + row * height
            pen.text((left, top), tile.label, fill="black")
            sheet.paste(Image.fromarray(tile.image), (left, top + _LABEL))
            sheet.paste(Image.fromarray(tile.coloured), (left + PICTURE + 2, top + _LABEL))
        return np.asarray(sheet)


def colour(ink: Ink, truth: Ink) -> NDArray[np.uint8]:
    """Colour (H, W, 3): correct ink black, `MISSED` and `INVENTED` ink in their colours, the rest white."""
    picture = np.full((*ink.shape, 3), 255, np.uint8)
    picture[ink & truth] = 0
    picture[truth & ~ink] = MISSED
    picture[ink & ~truth] = INVENTED
    return picture
