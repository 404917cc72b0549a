"""Pages, a file each, to one document: PDF or TIFF, a page in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowkit.files import make_folder, replacing
from flowkit.images import pdf
from flowkit.images.tiff_writer import TiffWriter, page_of

_MOST_TIFF = 4_000_000_000  # bytes; offsets in a classic TIFF are 32 bits


def bind(out: Path, parts: Sequence[Path]) -> None:
    """Write a document of pages that are files of its own format, their pixels as they are.

    Raises:
        ImageError: a TIFF among the pages is damaged.
        OutputError: it cannot be written; nothing half-written is left.
    """
    make_folder(out.parent)
    with replacing(out) as draft:
        if out.suffix.lower() == ".pdf":
            pdf.bind(draft, parts, str(out))
        else:
            _bind_tiff(draft, parts, str(out))


def _bind_tiff(draft: Path, parts: Sequence[Path], name: str) -> None:
    big = sum(part.stat().st_size for part in parts) > _MOST_TIFF
    with draft.open("wb") as file:
        writer = TiffWriter(file, name, big=big)
        for part in parts:
            with part.open("rb") as page:
                writer.add(*page_of(page, part))
