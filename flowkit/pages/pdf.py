"""Pages of PDF files as pixels, and images as the pages of a PDF."""

from __future__ import annotations

import contextlib
import importlib
import math
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowkit.errors import FlowkitError, ImageError, OutputError

DPI = 300
"""What a page is drawn at that is not a scan."""

_PDFIUM = threading.RLock()  # pdfium is not made for threads
_MOST_DPI = 1200
_MOST_OPEN = 64  # files at a time
_POINTS = 72  # per inch


def count(path: Path) -> int:
    """How many pages a PDF has. Raises ImageError where it cannot be read, or has none."""
    with _document(path) as document:
        return len(document)


def render(path: Path, page: int, *, dpi: float | None, max_pixels: int) -> tuple[NDArray[np.uint8], float]:
    """Draw one page, counted from 0: (H, W, 3), and the dpi it was drawn at.

    A page that is mostly one image is drawn at that image's own resolution, others at 300 dpi, unless `dpi`
    is given.

    Raises:
        ImageError: it cannot be read, or it or an image in it has more than `max_pixels` pixels.
    """
    with _document(path) as document:
        if page >= len(document):
            raise ImageError(f"{path}: has {len(document)} pages, page {page + 1} was asked for")
        try:
            sheet = document[page]
            images = list(_images(sheet))
            dpi = dpi or _native(images, sheet.get_width() * sheet.get_height()) or DPI
            scale = dpi / _POINTS * (1 - 1e-6)  # pdfium rounds up, and 10.8 points are 10.8000002 to it
            sizes = [(math.ceil(sheet.get_width() * scale), math.ceil(sheet.get_height() * scale))]
            # what pdfium would have to decode counts as well as what it would draw
            for width, height in sizes + [image[:2] for image in images]:
                if width * height > max_pixels:
                    raise ImageError(
                        f"{path}: page {page + 1}: {width} x {height} pixels, more than the limit of "
                        f"{max_pixels:,} (raise it with --max-pixels or max_pixels=)"
                    )
            drawn = sheet.render(scale=scale, rev_byteorder=True)
            return np.array(drawn.to_numpy()[..., :3]), float(dpi)
        except _pdfium().PdfiumError as error:
            raise ImageError(f"{path}: page {page + 1} is damaged ({error})") from None


def join(parts: Sequence[bytes], place: Path, name: str) -> None:
    """Write image files as the pages of one PDF, their pixels as they are: bilevel ones in CCITT Group 4.

    `name` is what errors call the file.

    Raises:
        OutputError: an image is too small for a page (3 points).
    """
    img2pdf = _needed("img2pdf")
    try:
        with place.open("wb") as file:
            img2pdf.convert(list(parts), outputstream=file)
    except (ValueError, img2pdf.PdfTooLargeError, img2pdf.ImageOpenError) as error:
        raise OutputError(f"{name}: cannot be written ({error})") from None


def bind(place: Path, parts: Sequence[Path], name: str) -> None:
    """Write the pages of PDF files as one, in their order. `name` is what errors call the file.

    Raises:
        OutputError: a part is damaged.
    """
    pikepdf = _needed("pikepdf")
    if len(parts) > _MOST_OPEN:  # each stays open until all are written
        with tempfile.TemporaryDirectory(prefix=".flowkit-", suffix=".tmp", dir=place.parent) as folder:
            groups = [parts[i : i + _MOST_OPEN] for i in range(0, len(parts), _MOST_OPEN)]
            bound = [Path(folder, f"{index}.pdf") for index in range(len(groups))]
            for path, group in zip(bound, groups, strict=True):
                bind(path, group, name)
            bind(place, bound, name)
        return
    with contextlib.ExitStack() as stack:
        document = stack.enter_context(pikepdf.new())
        try:
            for part in parts:
                document.pages.extend(stack.enter_context(pikepdf.open(part)).pages)
            document.save(place)
        except pikepdf.PdfError as error:
            raise OutputError(f"{name}: cannot be written ({error})") from None


def check() -> None:
    """Raise FlowkitError unless what writes PDF files is installed."""
    _needed("img2pdf")


@contextmanager
def _document(path: Path) -> Iterator[Any]:
    pdfium = _pdfium()
    with _PDFIUM:
        try:
            document = pdfium.PdfDocument(path)
        except pdfium.PdfiumError as error:
            raise ImageError(f"{path}: not a PDF that can be read ({error})") from None
        try:
            if len(document) == 0:
                raise ImageError(f"{path}: a PDF without pages")
            yield document
        finally:
            document.close()


def _images(sheet: Any) -> Iterator[tuple[int, int, float, float]]:
    """Of each image on a page: width and height in pixels, and in points."""
    for image in sheet.get_objects(filter=(_pdfium().raw.FPDF_PAGEOBJ_IMAGE,)):
        a, b, c, d = image.get_matrix().get()[:4]
        yield *image.get_px_size(), math.hypot(a, b), math.hypot(c, d)


def _native(images: list[tuple[int, int, float, float]], area: float) -> float | None:
    large = [i for i in images if i[2] * i[3] > area / 2]
    if not large:
        return None
    sharpest = max(max(width / across, height / down) for width, height, across, down in large) * _POINTS
    return min(float(round(sharpest)), _MOST_DPI) if sharpest >= _POINTS else None


def _pdfium() -> Any:
    return _needed("pypdfium2")


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise FlowkitError(f"PDF files need {module}: pip install 'flowkit-nf[pdf]'") from None
