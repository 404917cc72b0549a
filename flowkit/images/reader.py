"""The reader of images: for training, pages, evaluation and batches, from files or from memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from flowkit.errors import ImageError
from flowkit.images import pdf
from flowkit.images.decoding import decode
from flowkit.images.guard import guarded
from flowkit.images.header import Header, Plan, header_of
from flowkit.images.picture import Picture, picture_of
from flowkit.images.tiff_pages import PREVIEW, SUBFILE, Frame, Page, pages_of, samples_of_tiff

MAX_PIXELS = 200_000_000
"""The largest page that is decoded unless the caller allows more: about A1 at 600 dpi."""

MAX_PAGES = 10_000
"""The most pages of a file."""

SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .tif .tiff .bmp .ppm .pgm .pbm .pnm .webp .gif .jp2 .j2k .jpx .jpf .pdf".split()  # noqa: SIM905
)
"""The suffixes of files that can be read; a file that is named is read whatever its suffix is."""

RASTER_SUFFIXES = SUFFIXES - {".pdf"}
"""The same without PDF, whose pages are drawn."""

_TEXT = "the text in it is not kept as text"

# A list, because Pillow would also try formats that run other programs (EPS) or that no scanner writes.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "PPM", "WEBP", "GIF", "JPEG2000")

_SIGNATURES = re.compile(
    rb"\x89PNG|\xff\xd8\xff|II[*+]\0|MM\0[*+]|GIF8[79]a|RIFF.{4}WEBP|BM.{4}\0\0\0\0|%PDF-"
    rb"|\0\0\0\x0cjP  |\xff\x4f\xff\x51|P[1-6]\s+(#[^\n]*\n\s*)*\d+\s+\d+\s",
    re.DOTALL,
)
"""The first bytes of the files that can be read; a Netpbm file's, up to its size."""

_PNM_HEADER = 1 << 16  # bytes, comments included

ImageLike = str | PathLike[str] | Image.Image | NDArray[Any] | torch.Tensor | Picture


def read(
    source: ImageLike,
    *,
    page: int | None = None,
    max_pixels: int = MAX_PIXELS,
    pdf_dpi: float | None = None,
    pdf_password: str | None = None,
    plan: Plan | None = None,
) -> Picture:
    """Read a page from a file, a Pillow image, or an array or tensor of (H, W), (H, W, 3) or (3, H, W); one
    that has been read stays as it is.

    Files may be PNG, JPEG, TIFF, BMP, PNM, WebP, GIF, JPEG 2000 or PDF. The EXIF orientation and the colour
    profile are applied, and transparency is laid on white.

    Args:
        source: as above.
        page: of a TIFF or PDF that holds several, counted from 0; by default the first, with a note.
        max_pixels: files that hold more are refused before they are decoded.
        pdf_dpi: dots per inch that a PDF's page is drawn at; by default those of its sharpest image, and 300
            or more where there is text (see `flowkit.images.pdf_resolution`).
        pdf_password: of an encrypted PDF.
        plan: called with the header of a page that is to be decoded; what it raises keeps it from that.

    Raises:
        ImageError: the file is missing, empty, damaged, no image, or has more than `max_pixels` pixels; or
            the array is not an image.

    >>> read(np.zeros((4, 6), np.uint8)).size
    (4, 6)
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, Image.Image):
        return _decode(source, "image", max_pixels, page, plan)
    if isinstance(source, torch.Tensor):
        array = source.detach().cpu().numpy()
        if array.ndim == 3:
            array = array.transpose(1, 2, 0)
        return picture_of(array)
    if isinstance(source, np.ndarray):
        return picture_of(source)
    path = Path(source)
    if is_pdf(path):
        drawn = pdf.render(
            path, page or 0, dpi=pdf_dpi, max_pixels=max_pixels, password=pdf_password, plan=plan
        )
        _check_number(drawn.pages, str(path))
        notes = () if page is not None else _several(drawn.pages, "pages")
        return Picture(drawn.pixels, drawn.dpi, notes + ((_TEXT,) if drawn.text else ()))
    with opened(path) as image:
        return _decode(image, str(path), max_pixels, page, plan)


def count_pages(path: Path, pdf_password: str | None = None) -> int:
    """Return the number of pages of a file: of a TIFF or a PDF all, of other images one.

    Raises:
        ImageError: as `read`, or there are more than `MAX_PAGES`.
    """
    if is_pdf(path):
        pages = pdf.count(path, pdf_password)
    else:
        with opened(path) as image, guarded():
            pages = len(_pages(image))
    _check_number(pages, str(path))
    return pages


def is_pdf(path: Path) -> bool:
    """Return true if a file is a PDF, whatever its name. Raises ImageError if there is no file to read."""
    _check_file(path)
    try:
        with path.open("rb") as file:
            return b"%PDF-" in file.read(1024)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None


def is_image_data(data: bytes) -> bool:
    """Return true if bytes begin like a file that can be read.

    >>> is_image_data(b"P5 3 4 255 ..."), is_image_data(b"P5.png")
    (True, False)
    """
    return _SIGNATURES.match(data) is not None


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file and read its header.

    Raises:
        ImageError: there is no such file, or it is no image.
    """
    try:
        with path.open("rb") as file:
            _check_pnm(file, str(path))
            try:
                with guarded():
                    image = Image.open(file, formats=_FORMATS)
            except Exception:  # a damaged header can raise anything at all in one of Pillow's parsers
                raise ImageError(f"{path}: {_refusal(file)}") from None
            yield image
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None


def _check_pnm(file: BinaryIO, name: str) -> None:
    """Refuse a PNM file with a long comment, which Pillow would read byte by byte."""
    head = file.read(_PNM_HEADER)
    file.seek(0)
    if re.match(rb"P[1-6]\s", head) and len(head) == _PNM_HEADER:
        words = re.sub(rb"#[^\r\n]*", b"", head).split(maxsplit=3)
        if len(words) < 4:
            raise ImageError(f"{name}: no size in the first {_PNM_HEADER:,} bytes of a PNM file")


def check_there(path: Path) -> None:
    """Raise ImageError where there is nothing of this name."""
    try:
        if not path.exists():
            raise ImageError(f"{path}: no such file")
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None


def _check_file(path: Path) -> None:
    check_there(path)
    try:
        if path.is_dir():
            raise ImageError(f"{path}: is a folder, expected an image")
        if not path.is_file():
            # a pipe or a device could keep the reader waiting indefinitely
            raise ImageError(f"{path}: is not a regular file, expected an image")
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: the file is empty")
    except OSError as error:  # such as a name that is too long
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None


def _decode(image: Image.Image, name: str, max_pixels: int, page: int | None, plan: Plan | None) -> Picture:
    with guarded():
        if page is None:
            notes = _notes(image, name)
        else:
            name, notes = _turn_to(image, name, page)
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name}: {width} x {height} pixels, expected 1 x 1 or more")
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width} x {height} pixels, more than the limit of {max_pixels:,} "
            "(raise it with --max-pixels or max_pixels=)"
        )
    if plan is not None:
        plan(_header(image, name))
    try:
        return decode(image, name, max_pixels, notes)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(f"{name}: {width} x {height} pixels do not fit into memory") from None
    except Exception as error:  # whatever Pillow's decoders raise on damaged data
        raise ImageError(f"{name}: the image is damaged or cut short ({error})") from None


def _header(image: Image.Image, name: str) -> Header:
    try:
        with guarded():
            return header_of(image)
    except Exception as error:  # whatever Pillow's parsers raise on damaged blocks
        raise ImageError(f"{name}: the image is damaged or cut short ({error})") from None


def _refusal(file: BinaryIO) -> str:
    """Return the error message for a file that Pillow cannot open."""
    file.seek(0)
    samples = samples_of_tiff(file)
    if samples is None:
        return f"not an image that can be read (expected one of {', '.join(_FORMATS)})"
    return (
        f"a TIFF of {samples}, which cannot be read; expected grey integers of 1, 2, 4, 8, 12, 16 or 32 "
        "bits, a palette, or RGB or CMYK of 8 or 16 bits"
    )


def _turn_to(image: Image.Image, name: str, page: int) -> tuple[str, tuple[str, ...]]:
    """Make a page the current one; return its name for messages, and notes."""
    pages = _pages(image)
    if page >= len(pages):
        raise ImageError(f"{name}: has {len(pages)} pages, page {page + 1} was asked for")
    notes = _copies(pages[page])
    if len(pages) == 1:
        return name, notes
    name = f"{name}: page {page + 1}"
    try:
        image.seek(pages[page].frame)
    except Exception as error:
        raise ImageError(f"{name}: the image is damaged or cut short ({error})") from None
    return name, notes


def _pages(image: Image.Image) -> list[Page]:
    """Return the pages of an image: of a TIFF all frames but reduced copies, of other formats the first."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return [Page(0)]
    frames = []
    try:
        for number in range(MAX_PAGES + 1):
            image.seek(number)
            frames.append(Frame(*image.size, bool(image.tag_v2.get(SUBFILE, 0) & PREVIEW)))
    except EOFError:
        pass
    except Exception:  # a damaged directory: what follows cannot be found, its own page fails when it is read
        frames.append(Frame(0, 0))
    image.seek(0)
    return pages_of(frames)


def _check_number(pages: int, name: str) -> None:
    if pages > MAX_PAGES:
        raise ImageError(f"{name}: has more than {MAX_PAGES:,} pages; refused (limit MAX_PAGES)")


def _notes(image: Image.Image, name: str) -> tuple[str, ...]:
    if image.format == "MPO":  # a photograph with a preview or a depth map behind it
        return ()
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        pages = _pages(image)
        _check_number(len(pages), name)
        return _several(len(pages), "images") + _copies(pages[0])
    try:
        frames = int(getattr(image, "n_frames", 1))
    except Exception:  # a damaged later frame does not harm the first
        return ()
    return _several(frames, "images")


def _several(number: int, what: str) -> tuple[str, ...]:
    return (f"holds {number} {what}, only the first is used",) if number > 1 else ()


def _copies(page: Page) -> tuple[str, ...]:
    return (f"{page.copies} smaller copies of it are left out (a pyramid)",) if page.copies else ()
