"""Training pages and truths from files, through the one reader of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit.errors import DataError, ImageError
from flowkit.images.picture import Picture
from flowkit.images.reader import read


def read_page(file: Path) -> Picture:
    """Read a page as `flowkit.pages.binarize` does.

    Raises:
        DataError: the file is missing, empty, damaged, no image, or has too many pixels.
    """
    try:
        return read(file)
    except ImageError as error:
        raise DataError(str(error)) from None


def read_rgb(file: Path) -> NDArray[np.uint8]:
    """Read the pixels of a page as 8-bit RGB, (H, W, 3). Raises DataError, as `read_page`."""
    return read_page(file).rgb8()


def read_ink(file: Path, threshold: int | None = None) -> NDArray[np.bool_]:
    """Read where a truth has ink (black), (H, W).

    Args:
        file: with black and white pixels only, unless a threshold is given.
        threshold: grey values of 8 bits below it are ink.

    Raises:
        DataError: as `read_page`, and for grey pixels without a threshold.
    """
    grey = grey_of(read_page(file))
    if threshold is not None:
        return np.asarray(grey < threshold)
    between = np.count_nonzero((grey != 0) & (grey != 255))
    if between:
        raise DataError(
            f"{file}: a truth has black (ink) and white pixels only, found grey ones "
            f"({between:,} of {grey.size:,})"
        )
    return np.asarray(grey == 0)


def grey_of(picture: Picture) -> NDArray[np.uint8]:
    """Return the luma of a page in 8 bits, (H, W)."""
    return np.asarray(Image.fromarray(picture.rgb8()).convert("L"))


def size_of(array: NDArray[np.generic]) -> str:
    """Return width and height of (H, W, ...) pixels, as they are printed.

    >>> size_of(np.zeros((2, 3)))
    '3 x 2'
    """
    return f"{array.shape[1]} x {array.shape[0]}"
