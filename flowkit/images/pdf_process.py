"""A separate program that opens PDF files, since a file may make pdfium use up memory or time, or crash.

It is asked by one line of JSON on standard input, and answers by one on standard output:

    {"path": p, "password": s}    -> {"pages": n}
    {..., "frame": true}          -> {"pages": n, "frame": see `frame_of`}
    {..., "page": i, "dpi": d or null, "max_pixels": m}
        -> {"pages": n, "width": w, "height": h, "dpi": [x, y], "text": bool}, and w x h pixels of RGB

Where that cannot be: {"error": why}, or {"pages": n, "too_large": [w, h]}; where a limit was met, nothing.
"""

from __future__ import annotations

import json
import signal
import sys
from contextlib import suppress
from typing import Any

import pypdfium2 as pdfium

from flowkit.images.pdf_resolution import POINTS, content_of, keep_in_pixels, resolution

MEMORY = 768 * 2**20  # bytes: the program, and what parsing may take
SECONDS = 20  # of processor time, for the same
PIXELS_A_SECOND = 2_000_000  # what decoding and drawing take at least
BYTES_A_PIXEL = 12

LOCKED = "an encrypted PDF, which needs a password (--pdf-password, or pdf_password=)"


def main() -> None:
    """Answer the question on standard input."""
    with suppress(AttributeError, ValueError):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    question = json.loads(sys.stdin.buffer.readline())
    limit(0)
    try:
        document = pdfium.PdfDocument(question["path"], password=question["password"])
        document.init_forms()  # so that the values of fields are drawn
        if not len(document):
            answer(error="a PDF without pages")
        elif "frame" in question:
            answer(pages=len(document), frame=frame(question))
        elif question.get("page", len(document)) < len(document):
            draw(document, question)
        else:
            answer(pages=len(document))
    except pdfium.PdfiumError as error:
        answer(error=reason(str(error), question["password"]))


def reason(said: str, password: str | None) -> str:
    """Return the meaning of pdfium's error."""
    if "password" in said.lower():
        return LOCKED if password is None else "an encrypted PDF, and its password is another one"
    return "a PDF that is damaged or has no pages" if "Success" in said else f"a damaged PDF ({said})"


def draw(document: Any, question: dict[str, Any]) -> None:
    """Draw one page; refuse what is too large."""
    page = document[question["page"]]
    masks, unit, groups = beside_pdfium(question)
    content = content_of(page, masks, unit, groups)
    dpi = 2 * (question["dpi"],) if question["dpi"] else resolution(content)
    sides = page.get_width(), page.get_height()
    width, height = (max(1, round(side * unit * d / POINTS)) for side, d in zip(sides, dpi, strict=True))
    # what pdfium would have to decode counts as well as what it would draw
    sizes = [(width, height), *content.sizes]
    for size in sizes:
        if size[0] * size[1] > question["max_pixels"]:
            answer(pages=len(document), too_large=size)
            return
    keep_in_pixels(content, *dpi)
    limit(max(size[0] * size[1] for size in sizes))
    bitmap = pdfium.PdfBitmap.new_native(width, height, pdfium.raw.FPDFBitmap_BGR, rev_byteorder=True)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    # not `page.render`, which rounds the sides up: an image that fills the page keeps its own pixels
    flags = pdfium.raw.FPDF_ANNOT | pdfium.raw.FPDF_REVERSE_BYTE_ORDER
    place = bitmap.raw, page.raw, 0, 0, width, height, 0, flags
    pdfium.raw.FPDF_RenderPageBitmap(*place)
    if document.formenv:
        pdfium.raw.FPDF_FFLDraw(document.formenv.raw, *place)
    said = [round(d, 3) for d in dpi]  # beyond that it is rounding of pdfium
    answer(pages=len(document), width=width, height=height, dpi=said, text=content.text)
    view = memoryview(bitmap.buffer).cast("B")
    for y in range(height):
        sys.stdout.buffer.write(view[y * bitmap.stride : y * bitmap.stride + 3 * width])


def beside_pdfium(question: dict[str, Any]) -> tuple[dict[Any, Any], float, list[Any]]:
    """Return the masks of a page's images, its UserUnit, and the images in soft masks of graphics states.

    None, and 1, where pdfium alone can read the file.
    """
    import pikepdf  # as long to start as all the rest, and of no use to count pages

    from flowkit.images.pdf_document import groups_of, masks_of, unit_of

    try:
        with pikepdf.open(question["path"], password=question["password"] or "") as document:
            page = document.pages[question["page"]].obj
            return masks_of(page), unit_of(page), groups_of(page)
    except (pikepdf.PdfError, IndexError, RuntimeError, ValueError, TypeError, KeyError):
        return {}, 1.0, []


def frame(question: dict[str, Any]) -> dict[str, Any]:
    """Return what frames the pages; nothing where only pdfium can read the file."""
    import pikepdf

    from flowkit.images.pdf_document import frame_of

    try:
        with pikepdf.open(question["path"], password=question["password"] or "") as document:
            return frame_of(document)
    except (pikepdf.PdfError, RuntimeError, ValueError):
        return {}


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
    """Write one line of JSON."""
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
