"""Decoding of an opened image: pixels of full depth, upright, in sRGB or grey."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from flowkit.errors import ImageError
from flowkit.images import jpeg_end
from flowkit.images.colour import keeps_colours, pixels
from flowkit.images.colour16 import is_deeper, low_bytes, mend_planes
from flowkit.images.decoder_messages import intercepted
from flowkit.images.depth import depth_of, mend_order
from flowkit.images.dpi import exif, resolution
from flowkit.images.guard import guarded
from flowkit.images.picture import Picture

_QUARTER = 64  # of 256 grey levels

# Decoders that Pillow's pixel limit protects from sizes that no header shows (of a tile, of a frame).
_LIMITED = ("TIFF", "GIF")


def decode(image: Image.Image, name: str, max_pixels: int, notes: tuple[str, ...]) -> Picture:
    """Decode the current frame of an opened image.

    Args:
        image: not decoded yet.
        name: for errors.
        max_pixels: most pixels of what its header does not show, such as a TIFF's tiles.
        notes: what is known already.

    Raises:
        ImageError: pixels that cannot be understood.
        Exception: whatever Pillow raises on damaged data.
    """
    with guarded():
        dpi, doubts = resolution(image)
        notes += doubts
        # Pillow decodes a PNG to find its EXIF block, and forgets a TIFF's orientation when it has decoded it
        orientation = _orientation(image) if image.format == "TIFF" else None
        depth, deeper = depth_of(image), is_deeper(image)
        mend_planes(image, name)
        mend_order(image)
        whole = keeps_colours(image) and not image.has_transparency_data
        wide = low_bytes(image) if whole else None
    layers = [_load(image, max_pixels)]
    if wide is not None:
        layers.append(_load(wide.opened(), max_pixels))
    elif deeper:
        notes += ("its colours of more than 8 bits are read as 8",)
    if layers[0] is not image:
        notes += (jpeg_end.NOTE,)
    with guarded():
        orientation = orientation or _orientation(layers[0])
        if orientation in range(2, 9):
            layers = [ImageOps.exif_transpose(layer) for layer in layers]
    if dpi is not None and orientation in (5, 6, 7, 8):
        dpi = dpi[1], dpi[0]
    values, more = pixels(layers, name, depth)
    if deeper and wide is None and image.mode == "RGBA":
        for found in (values.max(), np.asarray(layers[0].getextrema()).max()):
            if 0 < found < _QUARTER:
                raise ImageError(
                    f"{name}: nothing is above a quarter of its 16 bits, of which 8 are read where there is "
                    "transparency; expected the full range, or grey or RGB"
                )
    return Picture(values, dpi, notes + more)


def _orientation(image: Image.Image) -> Any:
    return exif(image).get(ExifTags.Base.Orientation, 1)


def _load(image: Image.Image, max_pixels: int) -> Image.Image:
    """Decode, several threads at a time where the format allows it.

    Returns the image, or another of a file that lacks nothing but its end. Raises whatever Pillow does, and
    OSError for damage that only libtiff sees.
    """
    if image.format not in _LIMITED:
        file = getattr(image, "fp", None)
        try:
            image.load()
        except OSError:
            whole = jpeg_end.without_end(file) if image.format == "JPEG" and file is not None else None
            if whole is None:
                raise
            return whole
        return image
    with guarded(max_pixels), intercepted() as damage:
        image.load()
    if damage:
        raise OSError(damage[0].rstrip("."))
    return image
