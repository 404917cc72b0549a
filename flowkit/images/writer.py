"""Pages to files: checked before the work begins, and complete or not there at all."""

from __future__ import annotations

import io
import math
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit.errors import OutputError
from flowkit.files import replacing
from flowkit.images import pdf
from flowkit.images.dpi import Dpi, as_exif, in_jpeg2000
from flowkit.images.writer16 import write_png16, write_tiff16

SUFFIXES = (".png", ".tif", ".tiff", ".pdf", ".webp", ".jp2")
"""Formats that keep every pixel as it is: JPEG is not among them, it would put grey around every letter."""

PHOTO_SUFFIXES = (*SUFFIXES, ".jpg", ".jpeg")
"""Formats for pictures in grey or colour."""

BOUND = (".tif", ".tiff", ".pdf")
"""Formats whose files hold any number of pages."""

_DEEP_GREY = (".png", ".tif", ".tiff", ".jp2")
_JPEG_QUALITY = 95
_SIDES = {".webp": ("WebP", 16_383), ".jpg": ("JPEG", 65_500), ".jpeg": ("JPEG", 65_500)}
_SHEET = (pdf.DPI, pdf.DPI)  # a sheet of paper must have a size
_LEAST_POINTS = 3  # a page of more than 14,400 points has a UserUnit


def check_output(path: str | PathLike[str], *, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Find out now whether an image can be written there, rather than after minutes of work.

    Raises:
        OutputError: the suffix is none of those expected, or no file can be made in the folder.
        FlowkitError: it is .pdf, and what writes PDF files is not installed.
    """
    check_name(path, suffixes=suffixes)
    check_folder(Path(path).parent)


def check_name(path: str | PathLike[str], *, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Find out whether an image can have this name; the folder may be missing. Raises as `check_output`."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        found = f'"{path.suffix}"' if path.suffix else "no suffix"
        raise OutputError(f"{path}: {found}, expected {', '.join(suffixes)}")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, expected a file name")
    if path.suffix.lower() == ".pdf":
        pdf.check()


def check_fits(path: str | PathLike[str], size: tuple[int, int], dpi: Dpi = None) -> None:
    """Find out whether a file of this name can hold an image, before it is made.

    Args:
        path: its name.
        size: height and width in pixels.
        dpi: of the image.

    Raises:
        OutputError: it has too many pixels a side, or is too small for a page of a PDF.
    """
    height, width = size
    suffix = Path(path).suffix.lower()
    kind, most = _SIDES.get(suffix, ("", math.inf))
    if max(size) > most:
        raise OutputError(f"{path}: {width} x {height} pixels, {kind} holds {most} a side")
    if suffix == ".pdf":
        across, down = dpi or _SHEET
        points = pdf.POINTS * width / across, pdf.POINTS * height / down
        if min(points) < _LEAST_POINTS:
            found = f"{points[0]:g} x {points[1]:g} points"
            raise OutputError(f"{path}: {found}, a page of a PDF has {_LEAST_POINTS} or more a side")


def check_folder(folder: str | PathLike[str]) -> None:
    """Raise OutputError unless `folder` is there and a file can be made in it."""
    folder = Path(folder)
    if not folder.exists():
        raise OutputError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise OutputError(f"{folder}: is not a folder")
    try:
        # permissions do not tell all (a read-only disk, a quota): try
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to ({error.strerror or error})") from None


def write_ink(path: str | PathLike[str], ink: NDArray[np.bool_], dpi: Dpi = None) -> None:
    """Write a bilevel image (H, W), True = ink = black: PNG of 1 bit, or TIFF or PDF of 1 bit in CCITT
    Group 4; WebP and JPEG 2000 have no bilevel images, and hold it as grey, without loss.

    Raises:
        OutputError: as `check_output`, or the disk is full.
    """
    height, width = ink.shape
    image = Image.frombytes("1", (width, height), np.packbits(~ink, axis=1).tobytes())
    _save(path, image, dpi, "group4")


def write_picture(
    path: str | PathLike[str], values: NDArray[np.uint8 | np.uint16], dpi: Dpi = None, *, lossy: bool = False
) -> None:
    """Write grey (H, W) or RGB (H, W, 3) of 8 or 16 bits; TIFF and PDF by deflate. `lossy` allows JPEG.

    Raises:
        OutputError: as `check_output`, the format holds no 16 bits (`holds_16_bits`), or the disk is full.
    """
    suffixes = PHOTO_SUFFIXES if lossy else SUFFIXES
    if values.dtype == np.uint16 and not holds_16_bits(path, values.ndim):
        raise OutputError(f"{path}: holds 8 bits a sample, expected .png or .tif for 16")
    if values.dtype == np.uint16 and values.ndim == 3:
        check_output(path, suffixes=suffixes)
        deep = values.astype(np.uint16, copy=False)
        with replacing(path) as draft, draft.open("wb") as file:
            if Path(path).suffix.lower() == ".png":
                write_png16(file, deep, dpi)
            else:
                write_tiff16(file, str(path), deep, dpi)
        return
    image = Image.fromarray(np.ascontiguousarray(values))
    _save(path, image, dpi, "tiff_adobe_deflate", suffixes)


def holds_16_bits(path: str | PathLike[str], dimensions: int) -> bool:
    """Return true if a file of this name can hold 16 bits a sample of an image (H, W) or (H, W, 3)."""
    return Path(path).suffix.lower() in ((".png", ".tif", ".tiff") if dimensions == 3 else _DEEP_GREY)


def write_heat(path: str | PathLike[str], values: NDArray[np.uint8], dpi: Dpi = None) -> None:
    """Write values (H, W) as a palette image, from black over red and yellow to white; WebP and JPEG 2000
    have no palettes and hold the colours. Raises OutputError, as `write_ink`.
    """
    image = Image.fromarray(np.ascontiguousarray(values))
    ramp = 3 * np.arange(256)[:, None] - 255 * np.arange(3)
    image.putpalette(ramp.clip(0, 255).astype(np.uint8).tobytes())  # which makes grey values indices
    _save(path, image, dpi, "tiff_adobe_deflate")


def _save(
    path: str | PathLike[str],
    image: Image.Image,
    dpi: Dpi,
    tiff_compression: str,
    suffixes: tuple[str, ...] = SUFFIXES,
) -> None:
    check_output(path, suffixes=suffixes)
    check_fits(path, (image.height, image.width), dpi)
    suffix = Path(path).suffix.lower()
    options: dict[str, Any] = {} if dpi is None else {"dpi": dpi}
    tiff = {"format": "TIFF", "compression": tiff_compression}
    with replacing(path) as draft:
        if suffix == ".png":
            image.save(draft, format="PNG", **options)
        elif suffix == ".pdf":
            sheet = io.BytesIO()
            image.save(sheet, **tiff)
            pdf.write_page(draft, sheet.getvalue(), dpi or _SHEET, str(path))
        elif suffix in (".jpg", ".jpeg"):
            image.save(draft, format="JPEG", quality=_JPEG_QUALITY, subsampling=0, **options)
        elif suffix == ".webp":
            block = {} if dpi is None else {"exif": as_exif(dpi)}
            _plain(image).save(draft, format="WEBP", lossless=True, **block)
        elif suffix == ".jp2":
            _plain(image).save(draft, format="JPEG2000")
            if dpi is not None:
                draft.write_bytes(in_jpeg2000(draft.read_bytes(), dpi))
        else:
            image.save(draft, **tiff, **options)


def _plain(image: Image.Image) -> Image.Image:
    """Return the same picture without palette or bilevel pixels."""
    return image.convert({"1": "L", "P": "RGB"}[image.mode]) if image.mode in ("1", "P") else image
