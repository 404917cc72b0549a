"""Plates: dark areas of a page with light writing on them, as headings of tables and newspapers have.

A plate is turned into its negative before the model sees it, and so is the result in it: the model reads
writing that is dark on light everywhere, and what is dark on the page is still ink.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages.strokes import CELL, Strokes, grey_of

_REDUCED = 4
_WINDOW = 9  # reduced pixels, of which most are dark on a plate: more than its writing
_DARK = 0.6  # of a window
_SIDE = 12  # reduced pixels; narrower dark areas are strokes
_EDGE = 15  # pixels; narrower parts of a plate's outline are strokes that touch it
_LIGHT = 0.35  # of the ink's contrast: writing on a plate is no darker than that
_WRITING = 0.02, 0.4  # of a plate's area
_BETWEEN = 0.15  # of a plate's area may be neither as light as writing nor as dark as its ground
_SEAM = 2  # pixels along a plate's outline that belong to neither ground


def find_plates(picture: Picture, found: Strokes) -> NDArray[np.bool_] | None:
    """Return the pixels of a page's plates, (H, W), with the writing on them; None if it has none."""
    grey = grey_of(picture)
    if min(grey.shape) < _REDUCED * _SIDE:
        return None
    paper = float(np.median(found.paper))
    middle = paper - found.contrast / 2
    dark = (np.asarray(Image.fromarray(grey).reduce(_REDUCED)) < middle).astype(np.float32)
    ground = ndimage.uniform_filter(dark, _WINDOW, mode="nearest") > _DARK
    ground = ndimage.binary_opening(ground, np.ones((_SIDE, _SIDE), bool))
    labels, _ = ndimage.label(ground)
    plates = None
    for rows, cols in ndimage.find_objects(labels):
        wide = tuple(
            slice(max(0, _REDUCED * (span.start - _WINDOW)), _REDUCED * (span.stop + _WINDOW))
            for span in (rows, cols)
        )
        values = grey[wide]
        plate = _outline(values < middle)
        if _is_written(values[plate], found.contrast, paper):
            plates = np.zeros(grey.shape, bool) if plates is None else plates
            plates[wide] |= plate
    return plates


def _is_written(values: NDArray[np.uint8], contrast: float, paper: float) -> bool:
    """Tell whether the greys of a plate are those of its ground and of light writing, with little between."""
    if not values.size:
        return False
    light = paper - _LIGHT * contrast
    dark = paper - (1 - _LIGHT) * contrast
    writing, between = float((values >= light).mean()), float(((values > dark) & (values < light)).mean())
    return _WRITING[0] <= writing <= _WRITING[1] and between <= _BETWEEN


def _outline(dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the wide parts of a dark area, with holes filled."""
    filled = ndimage.binary_fill_holes(dark)
    square = np.ones(_EDGE, bool)
    for axis in (0, 1):  # a page's edge is no outline
        margins = [(0, 0), (0, 0)]
        margins[axis] = (_EDGE, _EDGE)
        line = square[:, None] if axis == 0 else square[None]
        opened = ndimage.binary_opening(np.pad(filled, margins, mode="edge"), line)
        filled = opened[_EDGE:-_EDGE] if axis == 0 else opened[:, _EDGE:-_EDGE]
    return np.asarray(filled)


def turned(picture: Picture, plates: NDArray[np.bool_], found: Strokes) -> Picture:
    """Return a page with its plates as negatives, and their outlines in the colour of paper."""
    seam = ndimage.binary_dilation(plates, iterations=_SEAM) & ~ndimage.binary_erosion(
        plates, iterations=_SEAM, border_value=1
    )
    pixels = picture.pixels.copy()
    bright = found.paper.repeat(CELL, 0).repeat(CELL, 1)[: plates.shape[0], : plates.shape[1]]
    paper = np.median(pixels[(grey_of(picture) >= bright) & ~plates], axis=0)
    inside = pixels[plates].astype(np.float32)
    darkest = np.percentile(inside, 5, axis=0)
    top = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    pixels[plates] = np.clip(paper + darkest - inside, 0, top).astype(pixels.dtype)
    pixels[seam] = paper.astype(pixels.dtype)
    return replace(picture, pixels=pixels)
