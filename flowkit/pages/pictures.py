"""Pictures of a page: photographs, halftones and dark shapes, which are neither paper nor ink.

A page is looked at in squares of a few pixels, without its ink. Squares are structured where their pixels
differ more from a smooth surface than those of paper do. A picture is a large shape of structured squares,
darker than the paper around it; or a rectangle whose outline is structured, whatever is in it; or a shape as
dark as ink. Stains, folds and shadows are smooth, and letters that shine through leave paper between them.
What reaches the edge of the page must be structured throughout: dark margins of a scan are no pictures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages.paper import Floats, Mask, Squares, bands, find_paper, floats, luma_of, sums

CELL = 8
"""Side of a square, in pixels."""

_REGION = 32  # regions along the longer side of a page, whose lightest squares are the paper
_WIDE = 17  # regions around each, of which the lighter ones are the paper
_KNOWN = 0.25  # of a square's pixels that must be free of ink for it to be looked at
_ROUGH = 3, 0.02  # times as rough as most squares, and of the page's range: structured
_TONE = 0.15  # darker than the paper, on average
_DARK = 0.5  # darker than the paper: as dark as ink
_SHARE = 0.35  # of a shape's squares that must be structured, or dark
_LEAST = 6, 60  # squares: the side of a square that fits into a picture, and its area
_RECTANGLE = 0.88  # of its rectangle that a shape with a structured outline fills
_NEARLY = 0.8  # of its rectangle that a picture fills, if all of it is the picture


class Cells(NamedTuple):
    """Squares of a page, without its ink.

    Attributes:
        known: (rows, columns), whether they have enough pixels that are free of ink.
        tone: (rows, columns), how much darker than the paper around them their free pixels are.
        rough: (rows, columns), how far these pixels are from a smooth surface: root mean square of luma.
    """

    known: Mask
    tone: Floats
    rough: Floats


def find_pictures(picture: Picture, covered: Mask) -> Mask | None:
    """Find the pictures of a page, (H, W); None if there are none.

    Args:
        picture: the page, dark on light.
        covered: (H, W), ink with its blurred edges.
    """
    found = _shapes(cells_of(picture, covered))
    if not found.any():
        return None
    height, width = picture.size
    return found.repeat(CELL, axis=0).repeat(CELL, axis=1)[:height, :width]


def cells_of(picture: Picture, covered: Mask) -> Cells:
    """Measure the squares of a page."""
    smooth = find_paper(picture, covered, CELL)
    tone = (1 - smooth.cells / np.maximum(_light(smooth.cells), 1 / 255)).mean(2)
    known, rough = [], []
    for rows in bands(picture.size[0], CELL):
        off = luma_of(floats(picture, rows) - smooth.window(rows, picture.size[1]))
        free = ~covered[rows]
        count, square = np.moveaxis(sums(np.stack([free, free * off**2], 2).astype(np.float32), CELL), 2, 0)
        known.append(count > _KNOWN * CELL**2)
        rough.append(np.sqrt(square / np.maximum(count, 1)))
    return Cells(np.concatenate(known), tone, np.concatenate(rough))


def _light(colours: Floats) -> Floats:
    """Return the grey of the paper around each square: that of the light squares in its region."""
    side = -(-max(colours.shape[:2]) // _REGION)
    missing = [(0, -n % side) for n in colours.shape[:2]]
    whole = np.pad(colours, [*missing, (0, 0)], mode="edge")
    rows, columns = (n // side for n in whole.shape[:2])
    regions = whole.reshape(rows, side, columns, side, -1).swapaxes(1, 2).reshape(rows, columns, side**2, -1)
    light = ndimage.percentile_filter(np.quantile(regions, 0.9, axis=2), 80, (_WIDE, _WIDE, 1))
    return Squares(np.asarray(light, np.float32), side).window(slice(0, colours.shape[0]), colours.shape[1])


def _shapes(cells: Cells) -> Mask:
    """Return which squares belong to pictures."""
    found = np.zeros(cells.known.shape, bool)
    if not cells.known.any():
        return found
    times, least = _ROUGH
    rough = cells.known & (cells.rough > max(times * float(np.median(cells.rough[cells.known])), least))
    dark = cells.known & (cells.tone > _DARK)
    gaps = np.pad(rough | dark, 2)  # closing leaves the edge of an array open
    whole = ndimage.binary_fill_holes(ndimage.binary_closing(gaps, np.ones((3, 3), bool)))[2:-2, 2:-2]
    side, area = _LEAST
    labels, _ = ndimage.label(ndimage.binary_opening(whole, np.ones((side, side), bool)))
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        shape = labels[box] == label
        if shape.sum() < area or cells.tone[box][shape].mean() < _TONE:
            continue
        fills = shape.mean()
        inside = not _reaches_edge(box, found.shape)
        structured = rough[box][shape].mean() > _SHARE
        if structured or (inside and (fills > _RECTANGLE or dark[box][shape].mean() > _SHARE)):
            found[box] |= shape | (fills > _NEARLY)
    return found


def _reaches_edge(box: tuple[slice, ...], size: tuple[int, ...]) -> bool:
    return any(part.start == 0 or part.stop == count for part, count in zip(box, size, strict=True))
