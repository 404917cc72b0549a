"""Colour of more than 8 bits a sample: Pillow holds the high 8, the low 8 are decoded by themselves."""

from __future__ import annotations

import sys
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from flowkit.errors import ImageError
from flowkit.images.guard import guarded

_BITS, _PLANAR, _SEPARATE = 258, 284, 2  # TIFF: BitsPerSample, PlanarConfiguration, a plane for each colour
_CODESTREAM, _SIZES = b"\xff\x4f\xff\x51", 42  # JPEG 2000: SOC and SIZ; where the depths of components begin
_HEADER = 1 << 16  # bytes of a JPEG 2000 file that are searched for them
_STRIP = 256  # rows

# The byte that is the high one in one order of bytes is the low one in the other.
_OTHER_ORDER = {
    f"{bands};16{order}": f"{bands};16{other}"
    for bands in ("RGB", "R", "G", "B")
    for order, other in (("L", "B"), ("B", "L"), ("N", "B" if sys.byteorder == "little" else "L"))
}


class LowBytes:
    """Return the decoder of the low bytes of 16-bit RGB.

    Args:
        image: opened and not decoded yet.
    """

    def __init__(self, image: Image.Image) -> None:
        self._file: IO[bytes] = image.fp  # type: ignore[attr-defined]
        self._kinds = (image.format or "",)
        self._frame = image.tell()

    def opened(self) -> Image.Image:
        """Open the file once more; decoding gives the low bytes as an image of 8 bits."""
        with guarded():
            self._file.seek(0)
            again = Image.open(self._file, formats=self._kinds)
            again.seek(self._frame)
            mend_planes(again, "")
            again.tile = [_swapped(tile) for tile in _tiles(again)]
        return again


def low_bytes(image: Image.Image) -> LowBytes | None:
    """Return what decodes the low bytes of an image that is not decoded yet.

    None where it is not RGB of 16 bits in PNG or TIFF, or is compressed a plane for each colour, or where its
    file is Pillow's own, which closes it.
    """
    if image.format not in ("PNG", "TIFF") or image.mode != "RGB" or getattr(image, "_exclusive_fp", True):
        return None
    tiles = _tiles(image)
    if not tiles or any(_raw_mode(tile) not in _OTHER_ORDER for tile in tiles):
        return None
    return None if tiles[0].codec_name == "libtiff" and _is_planar(image) else LowBytes(image)


def mend_planes(image: Image.Image, name: str) -> None:
    """Have Pillow decode the high bytes of an uncompressed TIFF that has a plane for each colour.

    It takes the 16 bits of a sample for two samples of 8.

    Raises:
        ImageError: the colours are not RGB.
    """
    if not (_is_planar(image) and is_deeper(image)):
        return
    order = "L" if image.tag_v2.prefix == b"II" else "B"  # type: ignore[attr-defined]
    tiles = _tiles(image)
    for index, tile in enumerate(tiles):
        if tile.codec_name != "raw":
            continue
        mended = f"{_raw_mode(tile)};16{order}"
        if mended not in _OTHER_ORDER:
            raise ImageError(f"{name}: planes of 16 bits in {image.mode}, expected RGB or 8 bits")
        tiles[index] = tile._replace(args=(mended, *tile.args[1:]))
    image.tile = tiles  # type: ignore[attr-defined]


def is_deeper(image: Image.Image) -> bool:
    """Return true if an image, not decoded yet, has more than the 8 bits per sample that Pillow will hold."""
    if image.mode.startswith(("I", "F")):
        return False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(_BITS, 8)
        return max(bits, default=8) > 8 if isinstance(bits, tuple) else bits > 8
    if image.format == "JPEG2000":
        return _depth_of_jpeg2000(image) > 8
    for tile in _tiles(image):
        arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if any(";16" in a if isinstance(a, str) else isinstance(a, int) and a > 255 for a in arguments):
            return image.format in ("PNG", "PPM")  # of a PNM, the greatest value is one of them
    return False


def joined(high: Image.Image, low: Image.Image) -> NDArray[np.uint16]:
    """Put the high and the low bytes of 16-bit RGB together, (H, W, 3)."""
    values = np.empty((high.height, high.width, 3), np.uint16)
    for top in range(0, high.height, _STRIP):
        box = (0, top, high.width, min(high.height, top + _STRIP))
        with guarded():  # `crop` checks Pillow's limit, too
            strips = [np.asarray(image.crop(box)) for image in (high, low)]
        values[top : top + _STRIP] = strips[0].astype(np.uint16) << 8 | strips[1]
    return values


def _tiles(image: Image.Image) -> list[Any]:
    return list(getattr(image, "tile", []))


def _raw_mode(tile: Any) -> str:
    return str(tile.args[0] if isinstance(tile.args, tuple) else tile.args)


def _swapped(tile: Any) -> Any:
    other = _OTHER_ORDER[_raw_mode(tile)]
    return tile._replace(args=(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other)


def _is_planar(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", {})
    return bool(tags.get(_PLANAR, 1) == _SEPARATE)


def _depth_of_jpeg2000(image: Image.Image) -> int:
    file = getattr(image, "fp", None)
    if file is None:
        return 8
    place = file.tell()
    file.seek(0)
    head = file.read(_HEADER)
    file.seek(place)
    start = head.find(_CODESTREAM)
    return (head[start + _SIZES] & 0x7F) + 1 if 0 <= start < len(head) - _SIZES else 8
