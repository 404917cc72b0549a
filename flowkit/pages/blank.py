"""Blank parts of a page: light paper without contrast, in which a model finds no ink.

The look is cheap, a few operations a pixel, and careful: a faint stroke, a fold or a coarse paper counts as
contrast, whatever other ink the page has, and whatever is dark is never blank.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages.strokes import grey_of

SIDE = 32
"""Side of a cell, in pixels."""

LEAST = 6
"""Grey levels by which a cell and its neighbours vary, at a quarter of the resolution, where a stroke may be.

Faint print beside black print may have a tenth of its contrast, and is ink all the same: the level is that of
a scanner's noise, and no share of the page's contrast."""

DARK = 128
"""Grey level below which nothing is blank: a wide dark area has no contrast inside, and may be ink."""

_REDUCED = 4  # noise of single pixels is no contrast
_TREND = 9  # reduced pixels, over which light that falls off is taken for even


def written(picture: Picture) -> NDArray[np.bool_]:
    """Return the cells of SIDE x SIDE pixels that may hold ink, (ceil(H / SIDE), ceil(W / SIDE)).

    `picture` has dark ink on lighter paper.
    """
    small = np.asarray(Image.fromarray(_filled(grey_of(picture), "symmetric")).reduce(_REDUCED), np.float32)
    detail = small - ndimage.uniform_filter(small, _TREND, mode="nearest")
    low, high = (ndimage.minimum_filter(_blocks(a).min((1, 3)), 3, mode="nearest") for a in (detail, -detail))
    dark = ndimage.minimum_filter(_blocks(small).min((1, 3)), 3, mode="nearest") < DARK
    return np.asarray((-high - low >= LEAST) | dark)


def marked(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the cells of a mask (H, W) that are not 0 everywhere."""
    cells = _filled(mask)
    blocks = cells.reshape(cells.shape[0] // SIDE, SIDE, cells.shape[1] // SIDE, SIDE)
    return np.asarray(blocks.any((1, 3)))


def _filled(pixels: NDArray[np.uint8], mode: Literal["edge", "symmetric"] = "edge") -> NDArray[np.uint8]:
    """Pad the pixels by their edge to whole cells."""
    return np.pad(pixels, [(0, -side % SIDE) for side in pixels.shape], mode=mode)


def _blocks(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """Group reduced pixels by cells, (rows, side, columns, side)."""
    side = SIDE // _REDUCED
    return small.reshape(small.shape[0] // side, side, small.shape[1] // side, side)
