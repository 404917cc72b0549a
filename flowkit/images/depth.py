"""Depth of integer samples: bits, sign and polarity, brought to the full range of 8 or 16 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from flowkit.errors import ImageError

_STRIP = 256  # rows
_BITS, _PHOTOMETRIC, _MAX, _FORMAT, _SMAX = 258, 262, 281, 339, 341
_SIGNED = 2

# Grey integers that Pillow decodes in another order of bytes or polarity only; `full_range` does the rest.
_MORE = {
    (b"MM", 1, (1,), 1, (12,), ()): ("I;16", "I;12"),  # packed, the high bits first, in both orders
    (b"II", 0, (1,), 1, (12,), ()): ("I;16", "I;12"),
    (b"MM", 0, (1,), 1, (12,), ()): ("I;16", "I;12"),
    (b"MM", 0, (1,), 1, (16,), ()): ("I;16B", "I;16B"),
    (b"II", 0, (1,), 1, (32,), ()): ("I", "I;32N"),
    (b"MM", 1, (1,), 1, (32,), ()): ("I", "I;32B"),
    (b"MM", 0, (1,), 1, (32,), ()): ("I", "I;32B"),
}
for _key, _modes in _MORE.items():
    TiffImagePlugin.OPEN_INFO.setdefault(_key, _modes)

# libtiff gives samples in the machine's order of bytes; Pillow minds that for unsigned ones of 16 bits only.
_NATIVE = {"I;16BS": "I;16NS", "I;32B": "I;32N", "I;32BS": "I;32NS"}


@dataclass(frozen=True)
class Depth:
    """Integers of an image file.

    Attributes:
        bits: of a sample, as it is stored.
        signed: whether samples are in two's complement.
        white_is_zero: whether small samples are light; Pillow turns those of 8 bits and less round itself.
        said: the greatest sample, where the file says it as a number of bits: 4095 for 12.
    """

    bits: int = 16
    signed: bool = False
    white_is_zero: bool = False
    said: int | None = None


def depth_of(image: Image.Image) -> Depth:
    """Return the depth that an undecoded image says of itself; 16 unsigned bits where it is no TIFF."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return Depth()
    tags = image.tag_v2
    bits, said = _first(tags, _BITS, 1), _first(tags, _SMAX, _first(tags, _MAX, 0))
    return Depth(
        bits=bits,
        signed=_first(tags, _FORMAT, 1) == _SIGNED,
        white_is_zero=bits > 8 and _first(tags, _PHOTOMETRIC, 1) == 0,
        # other values are the greatest of this page, and say nothing of what white is (TIFF 6.0, page 36)
        said=said if said >= 255 and said & (said + 1) == 0 else None,
    )


def mend_order(image: Image.Image) -> None:
    """Have Pillow decode compressed integers of a TIFF, not decoded yet, in their order of bytes."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        image.tile = [
            tile._replace(args=(_NATIVE.get(tile.args[0], tile.args[0]), *tile.args[1:]))
            if tile.codec_name == "libtiff" and isinstance(tile.args, tuple)
            else tile
            for tile in image.tile
        ]


def full_range(values: NDArray[Any], depth: Depth, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Bring integers (H, W, C) to the full range of uint8 (up to 8 bits) or uint16, black being 0; and notes.

    A page may use fewer bits than a sample holds, such as 12 of 16. If the file does not state this, and
    nothing on the page is brighter than a quarter of the range, the page is scaled by the bits that it uses,
    with a note. If 0 is white, a page without large samples may be blank: it stays as it is, with a note.

    Args:
        values: samples as they are stored.
        depth: what the file says of them.
        name: for errors.

    Raises:
        ImageError: values that do not fit into the bits of a sample.
    """
    notes = []
    zero, top = 0, 2**depth.bits - 1
    low, high = int(values.min()), int(values.max())
    if depth.signed and low < 0:
        zero = -(2 ** (depth.bits - 1))
        notes.append(f"its samples are signed, {zero} is taken for black")
    elif depth.signed:
        top = 2 ** (depth.bits - 1) - 1
        notes.append("its samples are signed, none is below 0, which is taken for black")
    if zero == 0 and depth.said is not None and high <= depth.said < top:
        top = depth.said
    elif zero == 0 and depth.bits > 8 and 0 < high <= top >> 2:
        used = max(8, high.bit_length() + high.bit_length() % 2)
        seen = f"uses {used} of {top.bit_length()} bits (no sample is above {high})"
        if depth.white_is_zero:
            notes.append(f"{seen}; it is not made darker, for it may be blank")
        else:
            top = 2**used - 1
            notes.append(f"{seen}, and is scaled to the full range")
    most = 2**depth.bits - 1 + zero
    if low < zero or high > most:
        raise ImageError(f"{name}: values from {low} to {high}, expected {zero} to {most}")
    return _scaled(values, zero, top, depth), tuple(notes)


def _scaled(values: NDArray[Any], zero: int, top: int, depth: Depth) -> NDArray[Any]:
    kind = np.uint8 if depth.bits <= 8 else np.uint16
    white = int(np.iinfo(kind).max)
    if values.dtype == kind and zero == 0 and top == white and not depth.white_is_zero:
        return values
    scaled = np.empty(values.shape, kind)
    for start in range(0, len(values), _STRIP):
        strip = values[start : start + _STRIP].astype(np.int64) - zero
        strip = (strip * white + top // 2) // top
        scaled[start : start + _STRIP] = white - strip if depth.white_is_zero else strip
    return scaled


def as_stored(image: Image.Image, depth: Depth) -> NDArray[Any]:
    """Return the samples of a decoded grey image, (H, W, 1), with the sign that its file says."""
    values = np.asarray(image)
    if image.mode == "I" and depth.bits == 32 and not depth.signed:
        values = values.view(np.uint32)
    elif image.mode == "L" and depth.signed:
        values = values.view(np.int8)
    elif image.mode.startswith("I;16") and depth.signed:
        values = values.view(values.dtype.newbyteorder("=").str.replace("u", "i"))
    return values[..., None]


def _first(tags: Any, tag: int, default: int) -> int:
    """Return the first value of a tag that holds integers; hostile files hold anything."""
    value = tags.get(tag, default)
    if isinstance(value, tuple):
        value = value[0] if value else default
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return default
