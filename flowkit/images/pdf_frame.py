"""The frame of a PDF's pages: title, author, outline and page labels, put into a PDF of as many pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def put_frame(document: Any, frame: Mapping[str, Any]) -> None:
    """Put a frame into a document of pikepdf, whose pages are those of the frame's, in their order.

    Args:
        document: without a frame of its own.
        frame: see `flowkit.images.pdf_document.frame_of`.
    """
    import pikepdf

    for key, text in frame["info"].items():
        document.docinfo[f"/{key}"] = pikepdf.String(_plain(text))
    count = len(document.pages)
    numbers: list[Any] = []
    for first, style, prefix, start in frame["labels"]:
        if 0 <= first < count:
            label = pikepdf.Dictionary(P=pikepdf.String(_plain(prefix)), St=max(1, start))
            if style is not None:
                label.S = pikepdf.Name(f"/{style}")
            numbers += [first, label]
    if numbers:
        document.Root.PageLabels = pikepdf.Dictionary(Nums=pikepdf.Array(numbers))
    if frame["outline"]:
        with document.open_outline() as outline:
            outline.root.extend(_items(document, frame["outline"]))


def _items(document: Any, items: Iterable[Mapping[str, Any]]) -> list[Any]:
    import pikepdf

    made = []
    for item in items:
        where: tuple[Any, ...] = ()
        more: dict[str, Any] = {}
        if item["page"] is not None and item["page"] < len(document.pages):
            page = document.pages[item["page"]]
            where = item["page"], pikepdf.PageLocation.Fit
            if item["top"] is not None:
                _, bottom, _, top = (float(edge) for edge in page.mediabox)
                where = item["page"], pikepdf.PageLocation.XYZ
                more = {"left": 0, "top": top - item["top"] * (top - bottom), "zoom": 0}
        entry = pikepdf.OutlineItem(_plain(item["title"]), *where, **more)
        entry.is_closed = not item["open"]
        entry.children.extend(_items(document, item["items"]))
        made.append(entry)
    return made


def _plain(text: str) -> str:
    """Replace what cannot be encoded: titles of damaged files hold halves of characters."""
    return text.encode("utf-8", "replace").decode()
