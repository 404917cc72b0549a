"""The size of a page before it is decoded, and the memory that decoding it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from PIL import ExifTags, Image

from flowkit.images.colour16 import is_deeper
from flowkit.images.dpi import exif

# Bytes per pixel of a decoded image in Pillow; all others have 4.
_PILLOW = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}

# What decoders hold beside that, in bytes per pixel and component: integers, or a picture of their own.
_DECODERS = {"JPEG2000": 5, "WEBP": 4}

_BUFFERS = 16_000_000  # bytes, of decoders and strips, whatever the size of the page


class Header(NamedTuple):
    """Size and memory of a page, as its file gives them before it is decoded.

    Attributes:
        width: in pixels, after the page was turned upright.
        height: in pixels, after the page was turned upright.
        nbytes: of the page when it has been read.
        decoding: bytes at the moment of reading it when most are in use, estimated from above.
    """

    width: int
    height: int
    nbytes: int
    decoding: int


Plan = Callable[[Header], None]
"""Called before a page is decoded; what it raises keeps the page from being decoded."""


def header_of(image: Image.Image) -> Header:
    """Return the header of the current frame of an image that is opened and not decoded yet."""
    pixels = image.width * image.height
    deep = image.mode.startswith("I")
    wide = image.mode == "RGB" and is_deeper(image)
    grey = deep or image.mode in ("1", "L", "LA")
    channels = 1 if grey else 3
    kept = channels * (2 if deep or wide else 1)
    layer = _PILLOW.get(image.mode, 4) * (2 if wide else 1)
    decoding = layer + kept
    if deep or wide:
        decoding += kept if wide else 2 * kept  # samples as they are stored, and at their full range
    # Pillow decodes a PNG to find an EXIF block behind the pixels
    known = image.format == "TIFF" or "exif" in image.info
    orientation = exif(image).get(ExifTags.Base.Orientation, 1) if known else 1
    width, height = image.size
    if orientation in range(2, 9):
        decoding += layer * (2 if image.format == "TIFF" else 1)  # Pillow turns a TIFF by itself
    if orientation in (5, 6, 7, 8) and image.format != "TIFF":
        width, height = height, width
    if image.has_transparency_data:
        decoding += 16  # its colours, white paper, and both in one, in RGBA each
    elif image.mode not in ("L", "RGB", "I") or (image.info.get("icc_profile") is not None and not deep):
        decoding += 1 if grey else 4  # sRGB
    decoding += _DECODERS.get(image.format or "", 0) * channels
    return Header(width, height, kept * pixels, decoding * pixels + _BUFFERS)
