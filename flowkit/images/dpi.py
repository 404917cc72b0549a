"""Dots per inch: what files say, when they may be believed, and how JPEG 2000 says it."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

from PIL import ExifTags, Image, TiffImagePlugin

Dpi = tuple[float, float] | None
"""Dots per inch across and down."""

LEAST, MOST = 10.0, 25_400.0
"""Range of plausible dpi: scanners also write 0, 1 and 65535."""


def resolution(image: Image.Image) -> tuple[Dpi, tuple[str, ...]]:
    """Return the dpi of an open image, None if missing or implausible, and notes."""
    # Where a file says nothing, Pillow answers 72 for some JPEGs and 1 for a TIFF: that ruins OCR.
    if image.format in ("JPEG", "MPO"):
        said = image.info.get("jfif_unit") in (1, 2) or ExifTags.Base.XResolution in exif(image)
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        said = ExifTags.Base.XResolution in image.tag_v2
    else:
        said = True
    try:
        found = image.info["dpi"] if image.format != "WEBP" else _exif_dpi(image)
        across, down = (float(value) for value in found)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None, ()
    if not said:
        return None, ()
    if not (LEAST <= across <= MOST and LEAST <= down <= MOST):
        plain = across in (0, 1) and down in (0, 1)  # software writes this for an unknown resolution
        return None, () if plain else (f"says {across:g} x {down:g} dpi, which is not believed",)
    # a PNG holds whole dots per metre: 300 dpi come back as 299.9994
    across, down = (round(v) if abs(v - round(v)) < 0.02 else v for v in (across, down))
    return (float(across), float(down)), ()


def scaled(dpi: Dpi, factor: int) -> Dpi:
    """Return the dpi of an enlarged image of the same paper."""
    return None if dpi is None else (dpi[0] * factor, dpi[1] * factor)


def exif(image: Image.Image) -> Any:
    """Return the EXIF block; an empty one where there is none, or it is damaged but the picture is not."""
    try:
        return image.getexif()
    except Exception:
        return {}


def as_exif(dpi: tuple[float, float]) -> Image.Exif:
    """Return an EXIF block with the resolution, for formats that have no other place for it."""
    block = Image.Exif()
    block[ExifTags.Base.XResolution], block[ExifTags.Base.YResolution] = dpi
    block[ExifTags.Base.ResolutionUnit] = 2  # inches
    return block


def in_jpeg2000(data: bytes, dpi: tuple[float, float]) -> bytes:
    """Return a JP2 file with its resolution, which Pillow reads but does not write (ISO 15444-1, I.5.3.7)."""
    across, down = (_per_metre(value) for value in dpi)
    captured = struct.pack(">HHHHbb", *down, *across, 4, 4)
    box = _box(b"res ", _box(b"resc", captured))
    start = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, start)
    header = data[start + 8 : start + length]
    return data[:start] + _box(b"jp2h", header + box) + data[start + length :]


def _per_metre(dpi: float) -> tuple[int, int]:
    """Return dots per metre / 10^4, as numerator and denominator of 16 bits: an inch is 254 / 10^4 metres."""
    value = Fraction(dpi).limit_denominator(2 if dpi < 0x7FFF else 1)
    return value.numerator, 254 * value.denominator


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def _exif_dpi(image: Image.Image) -> tuple[float, float]:
    block = exif(image)
    inches = {2: 1.0, 3: 2.54}[block.get(ExifTags.Base.ResolutionUnit, 2)]
    return (
        float(block[ExifTags.Base.XResolution]) * inches,
        float(block[ExifTags.Base.YResolution]) * inches,
    )
