"""Pages, a file each, to one document: PDF or TIFF, a page in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flowkit.errors import ImageError
from flowkit.files import make_folder, replacing
from flowkit.images import pdf
from flowkit.images.reader import is_pdf
from flowkit.images.tiff_writer import TiffWriter, stored_pages

_NO_FRAME = "its title, author, outline and page labels cannot be read, and are not kept"
_MOST_TIFF = 4_000_000_000  # bytes; offsets in a classic TIFF are 32 bits


def bind(
    out: Path, parts: Sequence[Path], source: Path | None = None, password: str | None = None
) -> tuple[str, ...]:
    """Write a document of pages that are files of its own format, their pixels as they are.

    Args:
        out: the document.
        parts: its pages.
        source: the file that the pages were made from, in their order: if both are PDF, the title, author,
            outline and page labels are kept.
        password: of the source.

    Returns:
        Notes.

    Raises:
        ImageError: a TIFF among the pages is damaged.
        OutputError: it cannot be written; nothing half-written is left.
    """
    make_folder(out.parent)
    if out.suffix.lower() != ".pdf":
        with replacing(out) as draft:
            _bind_tiff(draft, parts, str(out))
        return ()
    frame = None if source is None or not is_pdf(source) else _frame(source, password)
    with replacing(out) as draft:
        pdf.bind(draft, parts, str(out), frame)
    return (_NO_FRAME,) if frame == {} else ()


def keep_frame(out: Path, source: Path, password: str | None = None) -> tuple[str, ...]:
    """Give a PDF of one page the title, author, outline and page label of the PDF that it was made from.

    See `bind`.
    """
    if out.suffix.lower() != ".pdf" or not is_pdf(source):
        return ()
    return bind(out, [out], source, password)


def replace_page(document: Path, page: int, part: Path) -> None:
    """Write a document of `bind` again with one page replaced, and everything else unchanged.

    Args:
        document: the file.
        page: which of its pages, counted from 0.
        part: a file of its own format, of one page.

    Raises:
        ImageError: there is no such page, or the document is none that flowkit writes.
        OutputError: it cannot be written, and is as it was.
    """
    with replacing(document) as draft:
        if document.suffix.lower() == ".pdf":
            pdf.replace_page(draft, document, page, part)
        else:
            _replace_in_tiff(draft, document, page, part)


def take_out(document: Path, page: int, out: Path) -> None:
    """Write a page of a document of `bind` as a file of its own format, its pixels as they are.

    Raises:
        ImageError: there is no such page, or the document is none that flowkit writes.
        OutputError: it cannot be written.
    """
    make_folder(out.parent)
    with replacing(out) as draft:
        if document.suffix.lower() == ".pdf":
            pdf.take_out(draft, document, page)
        else:
            _take_out_of_tiff(draft, document, page)


def _frame(source: Path, password: str | None) -> Mapping[str, Any]:
    try:
        return pdf.frame(source, password)
    except ImageError:  # its pages could be drawn
        return {}


def _bind_tiff(draft: Path, parts: Sequence[Path], name: str) -> None:
    big = sum(part.stat().st_size for part in parts) > _MOST_TIFF
    with draft.open("wb") as file:
        writer = TiffWriter(file, name, big=big)
        for part in parts:
            with part.open("rb") as page:
                writer.add(*next(stored_pages(page, part)))


def _take_out_of_tiff(draft: Path, document: Path, page: int) -> None:
    with draft.open("wb") as file, document.open("rb") as old:
        for number, stored in enumerate(stored_pages(old, document)):
            if number == page:
                TiffWriter(file, str(document)).add(*stored)
                return
    raise _missing(document, number + 1, page)


def _replace_in_tiff(draft: Path, document: Path, page: int, part: Path) -> None:
    big = document.stat().st_size + part.stat().st_size > _MOST_TIFF
    with draft.open("wb") as file, document.open("rb") as old, part.open("rb") as new:
        writer = TiffWriter(file, str(document), big=big)
        for number, stored in enumerate(stored_pages(old, document)):
            writer.add(*(next(stored_pages(new, part)) if number == page else stored))
    if page > number:
        raise _missing(document, number + 1, page)


def _missing(document: Path, pages: int, page: int) -> ImageError:
    return ImageError(f"{document}: has {pages} pages, page {page + 1} was asked for")
