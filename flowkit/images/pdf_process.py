"""A separate program that opens PDF files, since a file may make pdfium use up memory or time, or crash.

    python pdf_process.py FILE                      -> {"pages": n}
    python pdf_process.py FILE PAGE DPI MAX_PIXELS  -> {"pages": n, "width": w, "height": h, "dpi": d}, RGB

Where that cannot be: {"error": why}, or {"pages": n, "too_large": [w, h]}; where a limit was met, nothing. It
imports nothing of flowkit, so that it starts at once.
"""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pypdfium2 as pdfium

DPI = 300
MOST_DPI = 1200
POINTS = 72  # per inch

MEMORY = 768 * 2**20  # bytes: the program, and what parsing may take
SECONDS = 20  # of processor time, for the same
PIXELS_A_SECOND = 2_000_000  # what decoding and drawing take at least
BYTES_A_PIXEL = 12


def main(path: str, *rest: str) -> None:
    """Answer on standard output."""
    limit(0)
    try:
        document = pdfium.PdfDocument(path)
        if not len(document):
            answer(error="a PDF without pages")
        elif not rest:
            answer(pages=len(document))
        else:
            page, dpi, max_pixels = int(rest[0]), float(rest[1]), int(rest[2])
            if page < len(document):
                render(document, page, dpi, max_pixels)
            else:
                answer(pages=len(document))
    except pdfium.PdfiumError as error:
        answer(error=reason(str(error)))


def reason(said: str) -> str:
    """Return the meaning of pdfium's error."""
    if "password" in said.lower():
        return "an encrypted PDF, which needs a password"
    return "a PDF that is damaged or has no pages" if "Success" in said else f"a damaged PDF ({said})"


def render(document: Any, page: int, dpi: float, max_pixels: int) -> None:
    """Draw one page, at the resolution of its scan if `dpi` is 0; refuse what is too large."""
    sheet = document[page]
    images = list(images_of(sheet))
    across, down = sheet.get_width(), sheet.get_height()
    dpi = dpi or native(images, across * down) or DPI
    scale = dpi / POINTS * (1 - 1e-6)  # pdfium rounds up, and 10.8 points are 10.8000002 to it
    size = math.ceil(across * scale), math.ceil(down * scale)
    # what pdfium would have to decode counts as well as what it would draw
    sizes = [size, *(image[:2] for image in images)]
    for width, height in sizes:
        if width * height > max_pixels:
            answer(pages=len(document), too_large=[width, height])
            return
    limit(max(width * height for width, height in sizes))
    bitmap = sheet.render(scale=scale, rev_byteorder=True, prefer_bgrx=False)
    answer(pages=len(document), width=bitmap.width, height=bitmap.height, dpi=dpi)
    view, row = memoryview(bitmap.buffer).cast("B"), bitmap.width * bitmap.n_channels
    for y in range(bitmap.height):
        line = view[y * bitmap.stride : y * bitmap.stride + row]
        sys.stdout.buffer.write(line if bitmap.n_channels == 3 else rgb(line, bitmap.n_channels))


def rgb(line: memoryview, channels: int) -> bytes:
    """Pixels of grey, or with a fourth byte, as three bytes each."""
    out = bytearray(len(line) // channels * 3)
    for channel in range(3):
        out[channel::3] = line[min(channel, channels - 1) :: channels]
    return bytes(out)


def images_of(sheet: Any) -> Iterator[tuple[int, int, float, float]]:
    """Return, for each image on a page, width and height in pixels and in points."""
    for image in sheet.get_objects(filter=(pdfium.raw.FPDF_PAGEOBJ_IMAGE,)):
        a, b, c, d = image.get_matrix().get()[:4]
        yield *image.get_px_size(), math.hypot(a, b), math.hypot(c, d)


def native(images: list[tuple[int, int, float, float]], area: float) -> float | None:
    """The dpi of a page that is mostly one image."""
    large = [i for i in images if i[2] * i[3] > area / 2]
    if not large:
        return None
    sharpest = max(max(width / across, height / down) for width, height, across, down in large) * POINTS
    return min(float(round(sharpest)), MOST_DPI) if sharpest >= POINTS else None


def limit(pixels: int) -> None:
    """Allow what an honest file with so many pixels needs; a step beyond ends the process."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no limits
        import resource

        for kind, most in (
            (resource.RLIMIT_AS, MEMORY + BYTES_A_PIXEL * pixels),
            (resource.RLIMIT_CPU, SECONDS + pixels // PIXELS_A_SECOND),
        ):
            _, hard = resource.getrlimit(kind)
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def answer(**said: Any) -> None:
    """One line of JSON."""
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    with suppress(AttributeError, ValueError):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main(*sys.argv[1:])
