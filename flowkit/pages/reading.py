"""Pages from files or from memory, as plain arrays: nothing is decoded before its size has been checked."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from flowkit.errors import ImageError

MAX_PIXELS = 200_000_000
"""The largest page that is decoded unless the caller allows more: about A1 at 600 dpi."""

# A list, because Pillow would also try formats that run other programs (EPS) or that no scanner writes.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "PPM", "WEBP", "GIF", "JPEG2000")
_PILLOW = threading.Lock()

ImageLike = str | PathLike[str] | Image.Image | NDArray[Any] | torch.Tensor


@dataclass(frozen=True)
class Picture:
    """A page that has been read.

    Attributes:
        pixels: (H, W, 1) grey or (H, W, 3) RGB; uint8 or uint16 over their full range, or float32 in [0, 1].
        dpi: dots per inch across and down, or None where the file does not say.
        notes: what the reader did that its user may not expect, one sentence each.
    """

    pixels: NDArray[Any]
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def window(self, rows: slice, cols: slice, channels: int) -> torch.Tensor:
        """A piece of the page as floats in [0, 1], (1, channels, h, w); beyond the page its edge goes on.

        Grey is repeated for 3 channels; colour becomes luma (ITU-R BT.601) for 1.
        """
        height, width = self.size
        piece = self.pixels[rows.start : min(rows.stop, height), cols.start : min(cols.stop, width)]
        below, right = rows.stop - rows.start - piece.shape[0], cols.stop - cols.start - piece.shape[1]
        piece = np.pad(piece, ((0, below), (0, right), (0, 0)), mode="edge")
        values = torch.from_numpy(piece.astype(np.float32)).permute(2, 0, 1)
        if piece.dtype != np.float32:
            values = values / float(np.iinfo(piece.dtype).max)
        if values.shape[0] == 3 and channels == 1:
            values = (values * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0, keepdim=True)
        return values.expand(channels, -1, -1).contiguous().unsqueeze(0)


def read(source: ImageLike, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a page from a file, a Pillow image, or an array or tensor of (H, W), (H, W, 3) or (3, H, W).

    Files may be PNG, JPEG, TIFF, BMP, PNM, WebP, GIF or JPEG 2000. The EXIF orientation is applied,
    transparency is laid on white, and of several images in one file the first is taken (with a note).

    Raises:
        ImageError: the file is missing, empty, damaged, no image, or has more than `max_pixels` pixels; or
            the array is not an image.

    >>> read(np.zeros((4, 6), np.uint8)).size
    (4, 6)
    """
    if isinstance(source, Image.Image):
        with _guarded(max_pixels):
            return _decode(source, "image", max_pixels)
    if isinstance(source, torch.Tensor):
        array = source.detach().cpu().numpy()
        if array.ndim == 3:
            array = array.transpose(1, 2, 0)
        return Picture(_checked(array))
    if isinstance(source, np.ndarray):
        return Picture(_checked(source))
    path = Path(source)
    _check_file(path)
    try:
        with _guarded(max_pixels), path.open("rb") as file:
            try:
                image = Image.open(file, formats=_FORMATS)
            except Exception:  # a damaged header can raise anything at all in one of Pillow's parsers
                raise ImageError(
                    f"{path}: not an image that can be read (expected one of {', '.join(_FORMATS)})"
                ) from None
            return _decode(image, str(path), max_pixels)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None


def _check_file(path: Path) -> None:
    try:
        if not path.exists():
            raise ImageError(f"{path}: no such file")
        if path.is_dir():
            raise ImageError(f"{path}: is a folder, expected an image")
        if not path.is_file():
            # a pipe or a device could keep the reader waiting for ever
            raise ImageError(f"{path}: is not a regular file, expected an image")
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: the file is empty")
    except OSError as error:  # such as a name that is too long
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None


@contextmanager
def _guarded(max_pixels: int) -> Iterator[None]:
    """Pillow with our limit in place of its own and without warnings: both are global, hence the lock."""
    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS
        # none while the header is read, so that `_decode` can say how large the image is
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _decode(image: Image.Image, name: str, max_pixels: int) -> Picture:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name}: {width} x {height} pixels, expected 1 x 1 or more")
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width} x {height} pixels, more than the limit of {max_pixels:,} "
            "(raise it with --max-pixels or max_pixels=)"
        )
    # from here on it holds for what the header did not show, such as the size of a TIFF's tiles
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        notes = _notes(image)
        dpi = _dpi(image)
        orientation = _exif(image).get(ExifTags.Base.Orientation, 1)
        image.load()
        if orientation in range(2, 9):
            image = ImageOps.exif_transpose(image)
        if dpi is not None and orientation in (5, 6, 7, 8):
            dpi = dpi[1], dpi[0]
        return Picture(_pixels(image, name), dpi, notes)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(f"{name}: {width} x {height} pixels do not fit into memory") from None
    except Exception as error:  # whatever Pillow's decoders raise on damaged data
        raise ImageError(f"{name}: the image is damaged or cut short ({error})") from None


def _pixels(image: Image.Image, name: str) -> NDArray[Any]:
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow gives a 16-bit PNM as 32-bit integers
        deep: NDArray[Any] = np.asarray(image).clip(0, 0xFFFF).astype(np.uint16)
        return deep[..., None]
    if image.mode == "F":
        raise ImageError(f"{name}: floating point pixels, expected 1, 8 or 16 bits (which value is white?)")
    grey = image.mode in ("1", "L", "LA")
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        image = paper
    pixels: NDArray[Any] = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[..., None] if grey else pixels


def _checked(array: NDArray[Any]) -> NDArray[Any]:
    """An array of the caller's as the pixels of a Picture."""
    pixels = array[..., None] if array.ndim == 2 else array
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise ImageError(f"image: shape {array.shape}, expected (H, W) grey or (H, W, 3) RGB, not empty")
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ImageError(f"image: pixels of type {pixels.dtype}, expected uint8, uint16 or floats in [0, 1]")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ImageError(f"image: values from {low:g} to {high:g}, expected floats in [0, 1]")
    floats: NDArray[Any] = pixels.astype(np.float32)
    return floats


def _exif(image: Image.Image) -> Any:
    try:
        return image.getexif()
    except Exception:  # a damaged EXIF block must not cost its user a sound picture
        return {}


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    # Where a file says nothing, Pillow answers 72 for some JPEGs and 1 for a TIFF: that ruins OCR.
    if image.format in ("JPEG", "MPO"):
        said = image.info.get("jfif_unit") in (1, 2) or ExifTags.Base.XResolution in _exif(image)
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        said = ExifTags.Base.XResolution in image.tag_v2
    else:
        said = True
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not said or not (0 < across < math.inf and 0 < down < math.inf):
        return None
    # a PNG holds whole dots per metre: 300 dpi come back as 299.9994
    across, down = (round(v) if abs(v - round(v)) < 0.02 else v for v in (across, down))
    return float(across), float(down)


def _notes(image: Image.Image) -> tuple[str, ...]:
    if image.format == "MPO":  # a photograph with a preview or a depth map behind it
        return ()
    try:
        frames = int(getattr(image, "n_frames", 1))
    except Exception:  # a damaged later frame is none of the first one's business
        return ()
    return (f"holds {frames} images, only the first is used",) if frames > 1 else ()
