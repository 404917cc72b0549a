"""Writing that a binarization lacks: strokes as dark against the paper around them as the ink that it has.

    d = (P - I) / max(P, W / 2)

P is the paper around each pixel, by a closing a few strokes wide, and W the median of the page, by which
noise in a dark margin counts little. r is the median of d in the ink that was found. Where at least a tenth
of what is darker than 0.6 r, in a window as large as a short word, is darker than r, all of that is writing:
letters that shine through are paler throughout, and stains do not fit into the closing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages.paper import Floats, Mask, bands, sums
from flowkit.pages.strokes import CELL, closing, grey_of

_WINDOW = 4  # strokes: the side of the closing
_WORD = 1.5, 4  # strokes: standard deviations of a window, down and across
_PALE, _SURE = 0.6, 1.0  # of the ink's darkness
_SHARE = 0.1  # of what is dark that must be sure
_MUCH = 0.02  # of the ink; less is folds and dirt on a page that the model understood
_LEAST = 12  # squares as wide as a stroke; less is no word


def lost_writing(picture: Picture, ink: Mask, covered: Mask) -> Mask:
    """Find writing beside the ink that was found, (H, W); none where there is no ink to compare it with.

    Args:
        picture: the page, dark on light.
        ink: (H, W), what was found.
        covered: (H, W), where nothing is looked for: ink with its edges, and pictures.
    """
    lost = np.zeros(ink.shape, bool)
    if not ink.any():
        return lost
    # a stroke has an edge on each of its sides
    width = 2 * np.count_nonzero(ink) / np.count_nonzero(ink & ~ndimage.binary_erosion(ink))
    dark = _darkness(grey_of(picture), round(_WINDOW * width))
    if not (usual := np.median(dark[ink])):
        return lost
    word = _WORD[0] * width, _WORD[1] * width
    margin = round(4 * max(word)) + 1
    for rows in bands(len(dark)):
        around = slice(max(0, rows.start - margin), rows.stop + margin)
        pale = dark[around] >= _PALE * usual
        sure = dark[around] >= _SURE * usual
        found = pale & (_blurred(sure, word) >= _SHARE * _blurred(pale, word))
        lost[rows] = found[rows.start - around.start :][: rows.stop - rows.start] & ~covered[rows]
    lost = _words(lost, _LEAST * width**2)
    return lost if lost.sum() >= _MUCH * ink.sum() else np.zeros_like(lost)


def _darkness(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return d, (H, W), in 255ths."""
    margin = 3 * side
    least = max(1.0, float(np.median(grey[::8, ::8])) / 2)
    dark = np.empty(grey.shape, np.uint8)
    for rows in bands(len(grey)):
        around = slice(max(0, rows.start - margin), rows.stop + margin)
        own = slice(rows.start - around.start, rows.stop - around.start)
        closed = closing(grey[around], side).astype(np.float32)
        paper = np.minimum(closed, ndimage.gaussian_filter(closed, side / 4))[
            own
        ]  # the edge of a lid is none
        dark[rows] = 255 * np.maximum(paper - grey[rows], 0) / np.maximum(paper, least)
    return dark


def _blurred(mask: Mask, deviations: tuple[float, float]) -> Floats:
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), deviations))


def _words(mask: Mask, least: float) -> Mask:
    """Leave out what is smaller than a word, gaps between letters being bridged."""
    height, width = mask.shape
    counts = sums(mask[..., None].astype(np.float32), CELL)[..., 0]
    labels, _ = ndimage.label(ndimage.binary_dilation(counts > 0, np.ones((3, 5), bool)))
    kept = np.bincount(labels.ravel(), weights=counts.ravel()) >= least
    kept[0] = False
    cells = kept[labels].repeat(CELL, 0).repeat(CELL, 1)
    return np.asarray(mask & cells[:height, :width])
