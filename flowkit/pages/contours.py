"""The contours of ink on spotless pages, at half of the depth of the strokes.

Truths of old manuscripts, which the model was trained on, are drawn a little bolder than the ink: their edges
are doubtful. Clean print has an edge that can be measured. Where the paper has no spots that could be taken
for ink, pixels at a contour are ink if they are at least half as dark as the stroke.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages.results import Results
from flowkit.pages.strokes import CELL, Strokes, grey_of

_NEAR = 3  # pixels around a pixel in which its stroke reaches its full depth
_BAND = 128 * CELL  # rows at a time

_SIDES = ((slice(2, None), slice(1, -1)), (slice(1, -1), slice(2, None)))
_OPPOSITE = ((slice(None, -2), slice(1, -1)), (slice(1, -1), slice(None, -2)))


def settle(
    picture: Picture, found: Strokes, binary: NDArray[np.bool_], results: Results, samples: int
) -> None:
    """Set the pixels at the contours of `binary` (H, W) to ink or paper, by their grey.

    A pixel of ink becomes paper if it is less than half as dark as the darkest within three pixels, and lies
    between darker ink and paper; so hairlines stay. A pixel of paper beside ink becomes ink if it is at least
    half as dark.

    Args:
        picture: the page, dark on light.
        found: its strokes.
        binary: the decision.
        results: to be changed; `binary` may be part of it.
        samples: their number.
    """
    height = binary.shape[0]
    before = binary[:0]  # rows above a band, as they were
    for top in range(0, height, _BAND):
        bottom = min(height, top + _BAND)
        first, last = max(0, top - _NEAR), min(height, bottom + _NEAR)
        ink = np.concatenate([before, binary[top:last]])
        before = binary[max(top, bottom - _NEAR) : bottom].copy()
        depth = _depth(picture, found, first, last)
        less, more = _changes(depth, ink)
        own = slice(top - first, bottom - first)
        rows = slice(top, bottom)
        results.set(rows, less[own], False, samples)
        results.set(rows, more[own], True, samples)


def _depth(picture: Picture, found: Strokes, first: int, last: int) -> NDArray[np.uint8]:
    """Measure by how much these rows are darker than their paper."""
    grey = grey_of(replace(picture, pixels=picture.pixels[first:last]))
    cells = found.paper[first // CELL : -(-last // CELL)].repeat(CELL, 0).repeat(CELL, 1)
    skipped = first % CELL
    paper = cells[skipped : skipped + last - first, : grey.shape[1]]
    return np.asarray(paper - np.minimum(paper, grey))


def _changes(depth: NDArray[np.uint8], ink: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the pixels of ink that become paper, and those of paper that become ink."""
    full = ndimage.maximum_filter(depth, 2 * _NEAR + 1, mode="nearest")
    pale = depth < full - full // 2
    darker = np.pad(depth, 1)
    inked = np.pad(ink, 1, mode="edge")
    slope = np.zeros(ink.shape, bool)
    beside = np.zeros(ink.shape, bool)
    for one, other in zip(_SIDES, _OPPOSITE, strict=True):
        for near, far in ((one, other), (other, one)):
            slope |= inked[near] & (darker[near] > depth) & ~inked[far]
            beside |= inked[near]
    return ink & pale & slope, ~ink & ~pale & beside
