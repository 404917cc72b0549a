"""Views of a page at a working scale, which together cover every pixel of it.

At a scale of k a page is smoothed by a box of k x k pixels, and the k x k pages of every k-th pixel are
decided each by itself. Interleaved again they are a decision for every pixel of the page, with contours as
sharp as its own: a model that knows strokes of 4 pixels draws those of 12. Every other one of these pages is
enough (`flowkit.pages.between`), so that half as many pixels are computed as the page has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages.between import is_decided
from flowkit.pages.strokes import CELL
from flowkit.pages.working_scale import ENLARGED, WorkingScales

CONTEXT = 64
"""Pixels at the working scale that a part of a page is given around it: more than a line of text."""

_ROWS = 64  # to smooth at a time: more do not fit into the caches

_WHOLE = 0.5  # of a page; parts that cover more are taken as the whole page


class View(NamedTuple):
    """A picture for the model, and where its pixels belong on the part of the page."""

    picture: Picture
    rows: slice
    cols: slice


class Region(NamedTuple):
    """A part of a page that is decided at one scale.

    Attributes:
        scale: page pixels per pixel of a view.
        rows: of the page, with context.
        cols: of the page, with context.
        mask: (rows, cols) bool, the pixels whose scale it is; None for all.
        views: of this part of the page, those that are decided.
    """

    scale: float
    rows: slice
    cols: slice
    mask: NDArray[np.bool_] | None
    views: tuple[View, ...]

    @property
    def step(self) -> int:
        """Return every how many-th pixel is a view's."""
        return self.views[0].rows.step or 1

    def size(self, scale: int) -> tuple[int, int]:
        """Return height and width of the interleaved results of a model of this scale."""
        times = scale * (2 if self.scale == ENLARGED else 1)
        return times * (self.rows.stop - self.rows.start), times * (self.cols.stop - self.cols.start)


def regions(picture: Picture, scales: WorkingScales) -> list[Region]:
    """Cut a page into parts of one scale each; a page of one scale is one part.

    The main scale, which is the first, has the parts of larger scales as well: what surrounds large letters
    is too small for them. Where two parts meet, the ink of both counts.
    """
    height, width = picture.size
    everything = slice(0, height), slice(0, width)
    if scales.labels is None:
        [scale] = scales.scales
        return [Region(scale, *everything, None, _decided(picture, scale))]
    found = []
    for which, scale in enumerate(scales.scales):
        cells = scales.labels == which
        if which == 0:
            cells |= np.array(scales.scales)[scales.labels] > scale
        for rows, cols in _boxes(cells, (height, width)):
            mask = _pixels(cells, rows, cols)
            around = round(CONTEXT * scale)
            wide = [
                slice(max(0, span.start - around), min(length, span.stop + around))
                for span, length in zip((rows, cols), (height, width), strict=True)
            ]
            own = np.zeros([span.stop - span.start for span in wide], bool)
            own[
                rows.start - wide[0].start : rows.stop - wide[0].start,
                cols.start - wide[1].start : cols.stop - wide[1].start,
            ] = mask
            part = replace(picture, pixels=picture.pixels[wide[0], wide[1]])
            found.append(Region(scale, wide[0], wide[1], own, _decided(part, scale)))
    return found


def views(picture: Picture, scale: float) -> tuple[View, ...]:
    """Return a page's k x k views at a scale of k, which share the memory of one smooth copy.

    At a scale of 1/2 there is one view, the page enlarged twice by bicubic interpolation.
    """
    if scale == ENLARGED:
        picture = replace(picture, pixels=enlarged(picture.pixels))
    if scale <= 1:
        return (View(picture, slice(None), slice(None)),)
    step = min(int(scale), *picture.size)
    smooth = smoothed(picture.pixels, step)
    return tuple(
        View(
            replace(picture, pixels=smooth[top::step, left::step]),
            slice(top, None, step),
            slice(left, None, step),
        )
        for top in range(step)
        for left in range(step)
    )


def _decided(picture: Picture, scale: float) -> tuple[View, ...]:
    """Return the views that are decided."""
    found = views(picture, scale)
    step = found[0].rows.step or 1
    return tuple(view for view in found if is_decided(view.rows.start or 0, view.cols.start or 0, step))


def smoothed(pixels: NDArray[Any], side: int) -> NDArray[Any]:
    """Average (H, W, C) over boxes of `side` x `side` pixels around each pixel.

    A box of an even side has no pixel in its middle: it is taken half a pixel to either side, with half
    weights at its ends, so that nothing moves.
    """
    height, _, channels = pixels.shape
    around, total = side // 2, side**2 * (1 if side % 2 else 4)
    kind = np.dtype(np.float32)
    if pixels.dtype.kind == "u":
        kind = np.min_scalar_type((total + 1) * int(np.iinfo(pixels.dtype).max))
    out = np.empty_like(pixels)
    for top in range(0, height, _ROWS):
        bottom = min(height, top + _ROWS)
        rows = np.clip(np.arange(top - around, bottom + around), 0, height - 1)
        near = np.pad(pixels[rows], ((0, 0), (around, around), (0, 0)), mode="edge").astype(kind)
        # a pixel's channels lie beside each other, so that rows can be added whole
        sums = _sums(_sums(near.reshape(len(near), -1).T, side, channels).T, side, 1)
        mean = (sums + total // 2) // total if pixels.dtype.kind == "u" else sums / total
        out[top:bottom] = mean.reshape(bottom - top, -1, channels)
    return out


def _sums(values: NDArray[Any], side: int, step: int) -> NDArray[Any]:
    """Sum `side` rows that are `step` apart, from each row on; for an even side, that and the next sum."""
    for count in (side,) if side % 2 else (side, 2):
        length = len(values) - (count - 1) * step
        values = sum((values[n * step : n * step + length] for n in range(1, count)), values[:length])
    return values


def enlarged(pixels: NDArray[Any]) -> NDArray[Any]:
    """Enlarge (H, W, C) twice, by bicubic interpolation."""
    height, width, channels = pixels.shape
    top = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    out = np.empty((2 * height, 2 * width, channels), pixels.dtype)
    for channel in range(channels):
        plane = Image.fromarray(pixels[..., channel].astype(np.float32))
        large = np.clip(np.asarray(plane.resize((2 * width, 2 * height), Image.Resampling.BICUBIC)), 0, top)
        out[..., channel] = np.rint(large) if pixels.dtype.kind == "u" else large
    return out


def _boxes(cells: NDArray[np.bool_], size: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Return rectangles of the page that hold all these cells; one, the page, where they cover most of it."""
    labelled, _ = ndimage.label(cells, np.ones((3, 3)))
    found = ndimage.find_objects(labelled)
    area = sum((rows.stop - rows.start) * (cols.stop - cols.start) for rows, cols in found)
    if area > _WHOLE * cells.size:
        return [(slice(0, size[0]), slice(0, size[1]))]
    return [
        (
            slice(CELL * rows.start, min(size[0], CELL * rows.stop)),
            slice(CELL * cols.start, min(size[1], CELL * cols.stop)),
        )
        for rows, cols in found
    ]


def _pixels(cells: NDArray[np.bool_], rows: slice, cols: slice) -> NDArray[np.bool_]:
    """Enlarge the cells of a rectangle to pixels."""
    part = cells[rows.start // CELL : -(-rows.stop // CELL), cols.start // CELL : -(-cols.stop // CELL)]
    large = part.repeat(CELL, axis=0).repeat(CELL, axis=1)
    return np.asarray(large[: rows.stop - rows.start, : cols.stop - cols.start])
