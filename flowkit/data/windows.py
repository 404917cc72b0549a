"""Square pieces of a page, and their mirror images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit.data.tasks import KERNEL_REACH, Box, Kernel, Pair, reduce

Pieces = tuple[NDArray[np.uint8], NDArray[Any]]  # image and target


def crop(pair: Pair, box: Box | None, side: int, scale: int, rng: np.random.Generator) -> Pieces:
    """Cut a random piece, (side/scale, side/scale, 3) and (side, side, ...); small pages are mirrored.

    Args:
        pair: the page.
        box: the piece lies over it as far as it can; anywhere on the page, if there is none.
        side: in target pixels, a multiple of `scale`.
        scale: target pixels per image pixel.
        rng: chooses where.
    """
    target = _at_least(pair.target, side)
    high = pair.high(scale)
    step = scale if high is None else 1  # a given image has whole pixels only
    top, left = (
        step * int(rng.integers(low // step, last // step + 1)) for low, last in _starts(target, box, side)
    )
    window = np.s_[top : top + side, left : left + side]
    if high is not None:
        # no draw for a single kernel: the other draws of a seed stay as they are
        which = int(rng.integers(len(pair.kernels))) if len(pair.kernels) > 1 else 0
        return _reduced(_at_least(high, side), top, left, side, scale, pair.kernels[which]), target[window]
    assert pair.image is not None
    image = _at_least(pair.image, side // scale)
    small = tuple(slice(s.start // scale, s.stop // scale) for s in window)
    return image[small], target[window]


def zoomed(pieces: Pieces, side: int, scale: int = 1) -> Pieces:
    """Cut a piece with its ink, bool, scaled to (side, side); a half-covered pixel is ink.

    The image, of sides side/scale, is antialiased, as a scan at another resolution would be.
    """
    image, ink = pieces
    low = (side // scale, side // scale)
    if ink.shape[0] == side:
        return pieces
    cover = Image.fromarray(ink.astype(np.uint8) * np.uint8(255))
    return (
        np.asarray(Image.fromarray(image).resize(low, Image.Resampling.BICUBIC)),
        np.asarray(cover.resize((side, side), Image.Resampling.BILINEAR)) >= 128,
    )


def ink_of_image(ink: NDArray[np.bool_], scale: int) -> NDArray[np.bool_]:
    """Return the ink of an image at low resolution: half-covered pixels."""
    if scale == 1:
        return ink
    height, width = (n // scale for n in ink.shape)
    cover: NDArray[np.float64] = ink.reshape(height, scale, width, scale).mean((1, 3))
    return cover >= 0.5


def turn(array: NDArray[Any], turns: int, mirrored: bool) -> NDArray[Any]:
    """Rotate by quarter turns, then mirror or not."""
    turned = np.rot90(array, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def _reduced(
    target: NDArray[Any], top: int, left: int, side: int, scale: int, kernel: Kernel
) -> NDArray[np.uint8]:
    """Return the piece at low resolution, equal to one cut from the reduced page."""
    margin = KERNEL_REACH * scale
    above, before = (min(margin, start // scale * scale) for start in (top, left))
    height, width = target.shape[:2]
    below, after = (
        min(margin, (n - start - side) // scale * scale) for n, start in ((height, top), (width, left))
    )
    around = target[top - above : top + side + below, left - before : left + side + after]
    low = reduce(np.ascontiguousarray(around), scale, kernel)
    first_row, first_col = above // scale, before // scale
    return low[first_row : first_row + side // scale, first_col : first_col + side // scale]


def _starts(target: NDArray[Any], box: Box | None, side: int) -> list[tuple[int, int]]:
    """Return the least and greatest first row, and column."""
    ranges = []
    for axis in (0, 1):
        last = target.shape[axis] - side
        if box is None:
            ranges.append((0, last))
            continue
        near, far = box[1 - axis], box[3 - axis]
        # a box smaller than the piece lies in it; a larger one holds the piece
        low, high = sorted((near, far - side))
        ranges.append((min(max(low, 0), last), min(max(high, 0), last)))
    return ranges


def _at_least(array: NDArray[Any], side: int) -> NDArray[Any]:
    missing = [(0, max(0, side - n)) for n in array.shape[:2]]
    if not any(n for _, n in missing):
        return array
    return np.pad(array, [*missing, *[(0, 0)] * (array.ndim - 2)], mode="symmetric")
