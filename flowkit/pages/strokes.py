"""Stroke widths of a page, by grey-scale granulometry.

A closing with a square of s x s pixels fills dark structures that are narrower than s. The least s that fills
a pixel by half of its depth is the width of the stroke that the pixel belongs to: no threshold for ink is
needed, and light, stains and the page's contrast hardly matter. Larger squares work on reduced copies of the
page, so that all widths together cost little more than reading it.

Serra, J.: Image Analysis and Mathematical Morphology (1982); Matheron's granulometry.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from flowkit.images.picture import Picture

CELL = 8
"""Side of a cell, in pixels: what widths are counted in."""

FINE = (2, 3, 4, 5, 6, 7)
COARSE = (4, 5, 6, 7)
LEVELS = 5  # the page, and four reductions by two: strokes of up to 111 pixels
SIZES = (*FINE, *(size << level for level in range(1, LEVELS) for size in COARSE))
"""Sides of the squares, in pixels of the page."""

WIDTHS = np.array(SIZES) - 1
"""Width of the strokes that each of them fills first."""

_PAPER = 16, 3  # the square that finds the paper, on a copy that is reduced three times: 128 pixels
_LEAST = 24  # grey levels; less is the paper's own
_STRONG = 0.75  # of the ink's depth
_BAND = 512  # rows at a time at full resolution, which is most of the memory
_RARE = 0.001  # of the bare paper's pixels: so few do not change what the paper looks like

SPOTLESS = 0.12, 128
"""Roughness up to which a page is spotless, and the least contrast: black print on new paper."""

Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class Strokes:
    """Dark structures of a page by their width.

    Attributes:
        counts: (len(SIZES), rows, columns) uint8, dark pixels of each width in each cell of CELL x CELL; the
            last is of all that are wider.
        strong: (rows, columns) uint8, pixels of each cell that are nearly as dark as the ink.
        depth: (rows, columns) uint8, the mean of how much darker than its paper a cell is.
        paper: (rows, columns) uint8, the grey of the paper around each cell.
        contrast: how much darker than its paper the page's ink is, in grey levels.
        roughness: how much darker than its paper bare paper may be, as a share of `contrast`: one pixel in a
            thousand of the cells without strokes near them exceeds it. 1 where there are too few.
        sharpness: mean of |g(x - 1) - 2 g(x) + g(x + 1)| over that of |g(x + 1) - g(x - 1)| / 2 in cells with
            ink. The steeper the contours, the larger: 0.6 to 1.8 for scans, less for enlarged ones.
    """

    counts: NDArray[np.uint8]
    strong: NDArray[np.uint8]
    depth: NDArray[np.uint8]
    paper: NDArray[np.uint8]
    contrast: float
    roughness: float
    sharpness: float

    @property
    def nbytes(self) -> int:
        """Return the size of all arrays in bytes."""
        return self.counts.nbytes + self.strong.nbytes + self.depth.nbytes + self.paper.nbytes

    @property
    def spotless(self) -> bool:
        """Tell whether the ink is black, and the paper has nothing on it that could be taken for ink."""
        return self.roughness <= SPOTLESS[0] and self.contrast >= SPOTLESS[1]

    @property
    def lengths(self) -> NDArray[np.float64]:
        """Return the length of the strokes of each width, in pixels."""
        areas = self.counts.sum((1, 2), dtype=np.float64)
        return np.asarray(areas / WIDTHS, np.float64)


def strokes(picture: Picture) -> Strokes:
    """Measure the strokes of a page of dark ink on lighter paper."""
    grey = grey_of(picture)
    levels = _pyramid(grey)
    papers = _papers(levels)
    least, contrast = _threshold(levels[0], papers[0])
    shape = -(-grey.shape[0] // CELL), -(-grey.shape[1] // CELL)
    counts = np.zeros((len(SIZES), *shape), np.uint8)
    left: NDArray[np.bool_] | None = None
    index = 0
    for at, (values, paper) in enumerate(zip(levels, papers, strict=True)):
        if at:
            assert left is not None
            left = _reduced(left.astype(np.uint8) * np.uint8(255), values.shape) >= 128
        sides = COARSE if at else FINE
        found, left = _filled(values, paper, least, sides, left)
        for which in range(len(sides)):
            widest = index == len(SIZES) - 1
            counts[index] = _cells((found == which + 1) | left if widest else found == which + 1, at, shape)
            index += 1
    dark = papers[0] - np.minimum(papers[0], grey) >= max(least, _STRONG * contrast)
    last = min(3, len(levels) - 1)
    depth = papers[last] - np.minimum(papers[last], levels[last])
    strong = _cells(dark, 0, shape)
    return Strokes(
        counts,
        strong,
        _as_large(depth, shape, 1),
        _as_large(papers[last], shape, 1),
        contrast,
        _roughness(grey, papers[0], (strong > 0) | counts.any(0)) / contrast,
        _sharpness(grey, strong > 0),
    )


def _roughness(grey: Grey, paper: Grey, written: NDArray[np.bool_]) -> float:
    """Return the depth that one in a thousand pixels exceeds in cells that lie apart from written ones."""
    bare = ~ndimage.binary_dilation(written, np.ones((3, 3), bool))
    histogram = np.zeros(256, np.int64)
    for top in range(0, grey.shape[0], _BAND):
        rows = slice(top, top + _BAND)
        mask = bare[top // CELL : (top + _BAND) // CELL].repeat(CELL, 0).repeat(CELL, 1)
        depth = paper[rows] - np.minimum(paper[rows], grey[rows])
        histogram += np.bincount(depth[mask[: depth.shape[0], : depth.shape[1]]], minlength=256)
    if histogram.sum() < 2 / _RARE:
        return 255.0
    return float(np.searchsorted(np.cumsum(histogram), (1 - _RARE) * histogram.sum()))


def _sharpness(grey: Grey, inked: NDArray[np.bool_]) -> float:
    """Return the mean second difference along rows over the mean first one, in inked cells."""
    first = second = 0.0
    for top in range(0, grey.shape[0], _BAND):
        values = grey[top : top + _BAND].astype(np.int16)
        mask = inked[top // CELL : (top + _BAND) // CELL].repeat(CELL, 0).repeat(CELL, 1)
        mask = mask[: values.shape[0], 1 : values.shape[1] - 1]
        left, middle, right = values[:, :-2], values[:, 1:-1], values[:, 2:]
        first += float(np.abs(right - left)[mask].sum(dtype=np.int64)) / 2
        second += float(np.abs(left - 2 * middle + right)[mask].sum(dtype=np.int64))
    return second / first if first else 0.0


def _papers(levels: list[Grey]) -> list[Grey]:
    """Return the paper's grey around each pixel, at every level."""
    side, at = _PAPER[0], min(_PAPER[1], len(levels) - 1)
    found = closing(levels[at], side)
    papers = [_as_large(found, a.shape, 1 << (at - level)) for level, a in enumerate(levels[: at + 1])]
    for finer in levels[at + 1 :]:
        papers.append(_reduced(papers[-1], finer.shape))
    return papers


def grey_of(picture: Picture) -> Grey:
    """Return the luma of a page in 8 bits, (H, W)."""
    pixels = picture.pixels
    if pixels.dtype == np.uint8 and pixels.shape[2] == 1:
        return np.ascontiguousarray(pixels[..., 0])
    return np.asarray(Image.fromarray(picture.rgb8()).convert("L"))


def closing(grey: Grey, side: int) -> Grey:
    """Close with a square: the least of the greatest values around each pixel; dark details go."""
    high = _extreme(_extreme(grey, side, 0, np.maximum), side, 1, np.maximum)
    # turned by 180 degrees, squares of even sides end where the first ones began
    low = _extreme(_extreme(high[::-1, ::-1], side, 0, np.minimum), side, 1, np.minimum)
    return low[::-1, ::-1]


def _extreme(a: Grey, side: int, axis: int, of: Callable[[Grey, Grey], Grey]) -> Grey:
    """Return the extreme of `side` neighbours along an axis, in log2(side) passes over doubled windows."""
    margins = [(0, 0), (0, 0)]
    margins[axis] = side // 2, side - 1 - side // 2
    a = np.pad(a, margins, mode="edge")
    width = 1
    while width < side:
        step = min(width, side - width)
        count = a.shape[axis] - step
        a = of(a[:count], a[step:]) if axis == 0 else of(a[:, :count], a[:, step:])
        width += step
    return a


def _filled(
    grey: Grey, paper: Grey, least: int, sides: tuple[int, ...], left: NDArray[np.bool_] | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the square that fills each dark pixel first, counted from 1, and the pixels that none fills."""
    found = np.zeros(grey.shape, np.uint8)
    rest = np.zeros(grey.shape, bool)
    margin = 2 * max(sides)

    def fill(top: int) -> None:
        rows = slice(max(0, top - margin), min(grey.shape[0], top + _BAND + margin))
        own = slice(top - rows.start, min(top + _BAND, grey.shape[0]) - rows.start)
        values = grey[rows]
        depth = paper[rows] - np.minimum(paper[rows], values)
        open_ = depth >= least
        if left is not None:
            open_ &= left[rows]
        half = depth - depth // 2
        which = np.zeros(values.shape, np.uint8)
        for index, side in enumerate(sides):
            closes = open_ & (closing(values, side) - values >= half)
            which[closes] = index + 1
            open_ &= ~closes
        found[top : top + _BAND] = which[own]
        rest[top : top + _BAND] = open_[own]

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        list(threads.map(fill, range(0, grey.shape[0], _BAND)))
    return found, rest


def _threshold(grey: Grey, paper: Grey) -> tuple[int, float]:
    """Return the least depth of a stroke, and the depth of the ink."""
    some, under = grey[::2, ::2], paper[::2, ::2]
    depth = under - np.minimum(under, some)
    histogram = np.bincount(depth.ravel(), minlength=256).astype(np.float64)
    histogram[:_LEAST] = 0
    if histogram.sum() < 50:
        return 2 * _LEAST, float(2 * _LEAST)
    contrast = float(np.searchsorted(np.cumsum(histogram) / histogram.sum(), 0.9))
    return max(_LEAST, round(contrast / 2)), contrast


def _pyramid(grey: Grey) -> list[Grey]:
    levels = [grey]
    while len(levels) < LEVELS and min(levels[-1].shape) >= 2 * CELL:
        levels.append(np.asarray(Image.fromarray(levels[-1]).reduce(2)))
    return levels


def _reduced(a: Grey, shape: tuple[int, ...]) -> Grey:
    return np.asarray(Image.fromarray(a).reduce(2))[: shape[0], : shape[1]]


def _as_large(a: Grey, shape: tuple[int, ...], times: int) -> Grey:
    """Enlarge by repetition of pixels, and of the edge where that is smaller than the shape."""
    large = a.repeat(times, axis=0).repeat(times, axis=1)[: shape[0], : shape[1]]
    missing = [(0, n - m) for n, m in zip(shape, large.shape, strict=True)]
    return np.pad(large, missing, mode="edge") if any(n for _, n in missing) else large


def _cells(mask: NDArray[np.bool_], level: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Count the pixels of the page in each cell, for a mask that is reduced by 2**level."""
    side = CELL >> level
    if side == 0:
        return _as_large(mask.astype(np.uint8) * np.uint8(CELL * CELL), shape, 2 ** (level - 3))
    padded = np.zeros((shape[0] * side, shape[1] * side), bool)
    part = mask[: padded.shape[0], : padded.shape[1]]
    padded[: part.shape[0], : part.shape[1]] = part
    # over rows first, which are contiguous; CELL * CELL fits into 8 bits
    sums = padded.reshape(shape[0], side, -1).sum(1, dtype=np.uint8)
    counts = sums.reshape(*shape, side).sum(2, dtype=np.uint8)
    return np.asarray(counts << np.uint8(2 * level), np.uint8)
