"""Training pages from files: 8-bit RGB, or ink; whatever is wrong with a file is one readable line."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from flowkit.errors import DataError

MAX_PIXELS = 200_000_000  # about A1 at 600 dpi
SUFFIXES = frozenset(
    ".png .webp .tif .tiff .jpg .jpeg .bmp .jp2 .j2k .ppm .pgm .pbm .pnm .gif".split()  # noqa: SIM905
)
# A list, because Pillow would also try formats that run other programs (EPS).
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "PPM", "WEBP", "GIF", "JPEG2000")
_PILLOW = threading.Lock()


def read_rgb(file: Path) -> NDArray[np.uint8]:
    """The pixels of an image, (H, W, 3): turned as its EXIF data says, transparency on white, 16 bits to 8.

    Raises:
        DataError: the file is missing, empty, damaged, no image, or has more than `MAX_PIXELS` pixels.
    """
    return np.asarray(_read(file).convert("RGB"))


def read_ink(file: Path, threshold: int | None = None) -> NDArray[np.bool_]:
    """Where a truth has ink (black), (H, W).

    Args:
        file: with black and white pixels only, unless a threshold is given.
        threshold: grey values below it are ink.

    Raises:
        DataError: as `read_rgb`, and for grey pixels without a threshold.
    """
    grey = np.asarray(_read(file).convert("L"))
    if threshold is not None:
        return np.asarray(grey < threshold)
    between = np.count_nonzero((grey != 0) & (grey != 255))
    if between:
        raise DataError(
            f"{file}: a truth has black (ink) and white pixels only, found grey ones "
            f"({between:,} of {grey.size:,})"
        )
    return np.asarray(grey == 0)


def size_of(array: NDArray[np.generic]) -> str:
    """Width and height of (H, W, ...) pixels, as they are printed.

    >>> size_of(np.zeros((2, 3)))
    '3 x 2'
    """
    return f"{array.shape[1]} x {array.shape[0]}"


def _read(file: Path) -> Image.Image:
    try:
        if file.is_file() and file.stat().st_size == 0:
            raise DataError(f"{file}: the file is empty")
        image = _open(file)
        width, height = image.size
        if width * height > MAX_PIXELS:
            image.close()
            raise DataError(f"{file}: {width} x {height} pixels, more than the limit of {MAX_PIXELS:,}")
        with image:
            # Files of several images (a preview behind the page) give their first.
            image.load()
            return _eight_bits(ImageOps.exif_transpose(image))
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{file}: does not fit into memory") from None
    except Exception as error:  # whatever Pillow's parsers and decoders raise on damaged data
        raise DataError(f"{file}: cannot be read as an image ({error})") from None


def _open(file: Path) -> Image.Image:
    # Pillow's own limit and Python's warnings are global, hence the lock. The decoding itself is outside it.
    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            return Image.open(file, formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        deep = np.asarray(image).clip(0, 0xFFFF).astype(np.uint32)
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating point pixels, expected 1, 8 or 16 bits")
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        return paper
    return image
