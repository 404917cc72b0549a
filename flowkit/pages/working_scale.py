"""The working scale of a page: the reduction at which its strokes are as wide as those of training pages.

A page may have several, a title of large letters above small print. Every place then takes the scale of the
stroke that is nearest to it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.pages.strokes import CELL, WIDTHS, Strokes

Scale = float | Literal["auto"]
"""Page pixels per pixel that the model sees, or `auto`: found from the page."""

ENLARGED = 0.5
"""The one scale below 1: the page is enlarged twice, and four pixels decide on each of its own."""

MOST = 16
NATURAL = 7.0
"""Width of the strokes that a page is brought to, in pixels; those of the training pages are 3 to 9 wide."""

NARROWEST, WIDEST = 1.7, 20.0
"""Widths at the working scale that the model still reads as they are: no further scale for them."""

_ROUND = 0.35  # a factor of 1.65 is still 1: a page at its own scale keeps every pixel's detail
_SOFT = 0.75, 0.72  # less sharp pages have no such detail: a factor of 1.28 is 2
_SMALL = 0.15, 0.75  # shares of strokes a pixel wide, and two at most, that are too small
_CLEAR = 48  # grey levels of ink; below, single pixels are the paper's noise
_THIN_SHARE = 0.02  # of the page's strokes; fewer thin ones are noise
_DARK = 0.7  # of the ink's depth; paler wide shapes are stains and shadows
_SOLID = 0.9  # of a wide shape that is as dark as the ink; a stain or a shadow has soft edges
_SHAPE = 12  # cells; a smaller shape is a blot
_WIDE_SHARE = 0.2  # of the ink's area that wide strokes must have: a title, and no blot
_NEAR = 2  # cells around wide strokes that are their contour


class WorkingScales(NamedTuple):
    """The scales of a page.

    Attributes:
        scales: page pixels per pixel that the model sees; the page's main one first.
        labels: (rows, columns) uint8, which of them each cell of `CELL` x `CELL` pixels takes; None for one.
    """

    scales: tuple[float, ...]
    labels: NDArray[np.uint8] | None = None


def check_scale(scale: Scale) -> Scale:
    """Refuse what is no scale.

    Raises:
        ValueError: it is neither `auto`, nor 0.5, nor a whole number from 1 to `MOST`.

    >>> check_scale(2), check_scale(0.5), check_scale("auto")
    (2, 0.5, 'auto')
    """
    if scale in ("auto", ENLARGED) or (isinstance(scale, int) and 1 <= scale <= MOST):
        return scale
    raise ValueError(f"scale must be auto, 0.5 or a whole number from 1 to {MOST}, got {scale}")


def working_scales(found: Strokes) -> WorkingScales:
    """Choose the scales of a page from its strokes; 1 for a page without any."""
    lengths = found.lengths
    total = lengths.sum()
    if total < 1:
        return WorkingScales((1,))
    ink = found.counts[:, found.depth >= _DARK * found.contrast].sum(dtype=np.int64)
    scales: list[float] = []
    shapes: list[NDArray[np.bool_]] = []
    served = np.zeros(len(WIDTHS), bool)
    while len(scales) < 4:
        solid = np.zeros(found.depth.shape, bool)
        if not scales:
            wanted = np.ones(len(WIDTHS), bool)
        else:
            wanted = ~served & (min(scales) * NARROWEST > WIDTHS)
            if lengths[wanted].sum() <= _THIN_SHARE * total:
                wanted = ~served & (max(scales) * WIDEST < WIDTHS)
                solid = _solid(found, wanted)
                if found.counts[wanted][:, solid].sum(dtype=np.int64) <= _WIDE_SHARE * ink:
                    break
        scale: float = _scale_for(_median(np.where(wanted, lengths, 0)), found.sharpness)
        if scale == 1 and not scales and _is_small(found):
            scale = ENLARGED
        if scale in scales:
            break
        scales.append(scale)
        shapes.append(solid)
        served |= (scale * NARROWEST <= WIDTHS) & (scale * WIDEST >= WIDTHS)
        if min(scales) <= 1:
            served |= WIDTHS < NARROWEST
    if len(scales) == 1:
        return WorkingScales(tuple(scales))
    return WorkingScales(tuple(scales), _labels(found, scales, shapes))


def _scale_for(width: float, sharpness: float = 1.0) -> int:
    """Return the scale at which strokes of this width look natural.

    >>> [_scale_for(width) for width in (2, 9, 11, 13, 19, 35)]
    [1, 1, 1, 2, 3, 5]
    >>> [_scale_for(width, 0.5) for width in (2, 9, 11, 13, 19, 35)]
    [1, 2, 2, 2, 3, 5]
    """
    return min(MOST, max(1, int(width / NATURAL + (_ROUND if sharpness >= _SOFT[0] else _SOFT[1]))))


def _is_small(found: Strokes) -> bool:
    """Tell whether the strokes are so thin that the model reads them better on the page enlarged."""
    lengths = found.lengths
    single, both = lengths[0], lengths[:2].sum()
    total = lengths.sum()
    return found.contrast > _CLEAR and single >= _SMALL[0] * total and both >= _SMALL[1] * total


def _median(lengths: NDArray[np.float64]) -> float:
    return float(WIDTHS[np.searchsorted(np.cumsum(lengths), lengths.sum() / 2)])


def _solid(found: Strokes, widths: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the cells of shapes that are mostly of these widths, and dark throughout.

    What touches the edge of a page is a border, except on a spotless page.
    """
    all_, wide = (counts.sum(0, dtype=np.int64) for counts in (found.counts, found.counts[widths]))
    cells = (2 * wide > all_) & (found.depth >= _DARK * found.contrast)
    labels, count = ndimage.label(cells, np.ones((3, 3)))
    areas, dark, total = (
        np.bincount(labels.ravel(), weights=values.ravel(), minlength=count + 1)
        for values in (
            cells,
            found.strong,
            np.minimum(all_, CELL * CELL),
        )  # a cell with two of the widths counts once
    )
    good = (areas >= _SHAPE) & (dark >= _SOLID * total)
    if not found.spotless:
        for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            good[edge] = False
    good[0] = False
    return np.asarray(good[labels])


def _labels(found: Strokes, scales: list[float], shapes: list[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """Give each cell the scale of its own strokes, or of the nearest ones; larger ones have their shapes."""
    main = scales[0]
    finer = np.flatnonzero([scale <= main for scale in scales])
    # a width belongs to the scale at which it is nearest to natural
    misfit = np.abs(np.log(WIDTHS[:, None] / np.array(scales)[finer] / NATURAL))
    areas = np.zeros((len(finer), *found.depth.shape), np.float32)
    for counts, which in zip(found.counts, misfit.argmin(1), strict=True):
        areas[which] += counts
    known = areas.max(0) >= CELL * CELL / 16
    rows, columns = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    labels = np.asarray(finer[areas.argmax(0)[rows, columns]], np.uint8)
    for which in np.argsort(scales):
        if scales[which] > main:
            labels[ndimage.binary_dilation(shapes[which], np.ones((3, 3), bool), iterations=_NEAR)] = which
    return labels
