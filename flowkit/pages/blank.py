"""Blank parts of a page: light paper without contrast, in which a model finds no ink.

The look is cheap, a few operations a pixel, and careful: a faint stroke, a fold or a coarse paper counts as
contrast, and whatever is dark is never blank. SHARE is well below that at which the first ink of pages that
`binarize` was trained on would be lost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages.strokes import grey_of

SIDE = 32
"""Side of a cell, in pixels."""

SHARE = 0.15
"""Share of the contrast of the page's ink; what varies less in a cell and its neighbours is no stroke."""

LEAST = 12
"""Grey levels of what may be a stroke at the least."""

DARK = 128
"""Grey level below which nothing is blank: a wide dark area has no contrast inside, and may be ink."""

_REDUCED = 4  # noise of single pixels is no contrast


def written(picture: Picture, contrast: float) -> NDArray[np.bool_]:
    """Return the cells of SIDE x SIDE pixels that may hold ink, (ceil(H / SIDE), ceil(W / SIDE)).

    Args:
        picture: of dark ink on lighter paper.
        contrast: how much darker than its paper the page's ink is, in grey levels; see `Strokes`.
    """
    small = np.asarray(Image.fromarray(_filled(grey_of(picture))).reduce(_REDUCED))
    side = SIDE // _REDUCED
    blocks = small.reshape(small.shape[0] // side, side, small.shape[1] // side, side)
    low = ndimage.minimum_filter(blocks.min((1, 3)), 3, mode="nearest")
    high = ndimage.maximum_filter(blocks.max((1, 3)), 3, mode="nearest")
    return np.asarray((high - low >= max(LEAST, SHARE * contrast)) | (low < DARK))


def marked(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the cells of a mask (H, W) that are not 0 everywhere."""
    cells = _filled(mask)
    blocks = cells.reshape(cells.shape[0] // SIDE, SIDE, cells.shape[1] // SIDE, SIDE)
    return np.asarray(blocks.any((1, 3)))


def _filled(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixels, and their edge as far as the last cells go."""
    return np.pad(pixels, [(0, -side % SIDE) for side in pixels.shape], mode="edge")
