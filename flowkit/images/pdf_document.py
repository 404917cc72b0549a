"""Masks, UserUnit, title, author, outline and page labels of a PDF, which pdfium does not read.

It is imported by the program that opens PDF files, and needs pikepdf alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pikepdf

from flowkit.images.pdf_resolution import Masks, Matrix, Size, product

INFO = ("Title", "Author", "Subject", "Keywords")
"""Keys of the information on a document that is kept."""

_MOST_OBJECTS = 10_000
_MOST_STATES = 100
_DEEPEST = 32


def unit_of(page: Any) -> float:
    """Return a page's UserUnit: how many points a unit of its is."""
    with suppress(TypeError, ValueError, OverflowError):
        unit = float(page.get("/UserUnit", 1))
        if 0 < unit < 1e6:
            return unit
    return 1.0


def masks_of(page: Any) -> dict[Size, Masks]:
    """Return the masks and soft masks of the images on a page, by the size of the image in pixels.

    pdfium does not say which image is which, so those of one size are taken together.
    """
    found: dict[Size, Masks] = {}
    for image in _images(page):
        with suppress(TypeError, ValueError, OverflowError):
            size = _size(image)
            masks = [_size(image[key]) for key in ("/SMask", "/Mask") if _is_stream(image.get(key))]
            clear = masks or image.get("/ImageMask", False) or image.get("/SMaskInData", 0)
            before = found.get(size, Masks((), False))
            found[size] = Masks((*before.sizes, *masks), before.opaque or not clear)
    return found


def groups_of(page: Any) -> list[tuple[Matrix, Size]]:
    """Return the images in the soft masks that a page's graphics states have: each with its matrix and size.

    The matrix is that within the mask's group, which is taken to be the page's: a mask that is set within a
    transformation appears smaller than it is.
    """
    found: list[tuple[Matrix, Size]] = []
    with suppress(Exception):  # whatever is wrong with them, the page can be drawn
        states = _inherited(page, "/Resources")["/ExtGState"]
        for _, state in list(states.items())[:_MOST_STATES]:
            group = state.get("/SMask")
            if isinstance(group, pikepdf.Dictionary) and _is_stream(group.get("/G")):
                found += _drawn_by(group["/G"])
    return found


def frame_of(document: Any) -> dict[str, Any]:
    """Return what frames the pages of a document, as plain values of JSON.

    Its keys are "info", a mapping; "labels", lists of the first page, the style, the prefix and the first
    number; "outline", items with "title", "page", "top" (the share of the page's height above it, or None),
    "open" and "items".
    """
    frame: dict[str, Any] = {"info": _info(document), "labels": [], "outline": []}
    with suppress(Exception):  # whatever is wrong with them, the pages are the same
        frame["labels"] = list(_labels(document))
    with suppress(Exception):
        frame["outline"] = _outline(document)
    return frame


def _images(page: Any) -> Iterator[Any]:
    """Yield the images in the resources of a page, and of the forms in them."""
    left, seen = _MOST_OBJECTS, set()
    waiting = [(_inherited(page, "/Resources"), 0)]
    while waiting:
        resources, level = waiting.pop()
        try:
            things = list(resources["/XObject"].items())
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
        for _, thing in things:
            left -= 1
            if left < 0:
                return
            if not _is_stream(thing) or (thing.is_indirect and thing.objgen in seen):
                continue
            seen.add(thing.objgen)
            if thing.get("/Subtype") == "/Image":
                yield thing
            elif level < _DEEPEST and thing.get("/Resources") is not None:
                waiting.append((thing["/Resources"], level + 1))


def _drawn_by(form: Any) -> Iterator[tuple[Matrix, Size]]:
    """Yield the images that a form draws by itself."""
    matrix: Matrix = (1, 0, 0, 1, 0, 0)
    if "/Matrix" in form:
        matrix = _matrix(form["/Matrix"])
    saved = []
    for step in pikepdf.parse_content_stream(form, "q Q cm Do"):
        match str(step.operator):
            case "q":
                saved.append(matrix)
            case "Q" if saved:
                matrix = saved.pop()
            case "cm":
                matrix = product(_matrix(step.operands), matrix)
            case "Do":
                thing = form["/Resources"]["/XObject"][str(step.operands[0])]
                if thing.get("/Subtype") == "/Image":
                    yield matrix, _size(thing)


def _matrix(numbers: Any) -> Matrix:
    a, b, c, d, e, f = (float(number) for number in numbers)
    return a, b, c, d, e, f


def _inherited(page: Any, key: str) -> Any:
    for _ in range(_DEEPEST):
        if page is None or key in page:
            break
        page = page.get("/Parent")
    return None if page is None else page.get(key)


def _size(image: Any) -> Size:
    return int(image["/Width"]), int(image["/Height"])


def _is_stream(thing: Any) -> bool:
    return isinstance(thing, pikepdf.Stream)


def _info(document: Any) -> dict[str, str]:
    found = {}
    for key in INFO:
        with suppress(Exception):
            found[key] = str(document.docinfo[f"/{key}"])
    with suppress(Exception):
        metadata = document.open_metadata()
        for key, name in (("Title", "dc:title"), ("Author", "dc:creator")):
            value = metadata.get(name)
            if value and not found.get(key):
                found[key] = value if isinstance(value, str) else ", ".join(map(str, value))
    return {key: value for key, value in found.items() if value}


def _labels(document: Any) -> Iterator[tuple[int, str | None, str, int]]:
    if "/PageLabels" not in document.Root:
        return
    for index, label in list(pikepdf.NumberTree(document.Root.PageLabels).items())[:_MOST_OBJECTS]:
        style = label.get("/S")
        yield (
            int(index),
            None if style is None else str(style).removeprefix("/"),
            str(label.get("/P", "")),
            int(label.get("/St", 1)),
        )


def _outline(document: Any) -> list[dict[str, Any]]:
    numbers = {page.objgen: number for number, page in enumerate(document.pages)}
    left = _MOST_OBJECTS

    def items(entries: Any, level: int) -> list[dict[str, Any]]:
        nonlocal left
        found = []
        for entry in entries:
            left -= 1
            if left < 0 or level > _DEEPEST:
                break
            page, top = _target(document, entry, numbers)
            found.append(
                {
                    "title": str(entry.title),
                    "page": page,
                    "top": top,
                    "open": not entry.is_closed,
                    "items": items(entry.children, level + 1),
                }
            )
        return found

    with document.open_outline(max_depth=_DEEPEST) as outline:
        return items(outline.root, 0)


def _target(
    document: Any, entry: Any, numbers: dict[tuple[int, int], int]
) -> tuple[int | None, float | None]:
    """Return the number of the page that an item of an outline leads to, and how far down."""
    place = entry.destination
    if place is None and entry.action is not None and entry.action.get("/S") == "/GoTo":
        place = entry.action.get("/D")
    if isinstance(place, pikepdf.Name | pikepdf.String | str):
        place = _named(document, place)
    if isinstance(place, pikepdf.Dictionary):
        place = place.get("/D")
    if not isinstance(place, pikepdf.Array) or not len(place):
        return None, None
    number = numbers.get(getattr(place[0], "objgen", (0, 0)))
    top = None
    with suppress(Exception):
        where = {"/XYZ": 3, "/FitH": 2, "/FitBH": 2}.get(str(place[1]))
        if number is not None and where is not None:
            top = _down(document.pages[number], float(place[where]))
    return number, top


def _named(document: Any, name: Any) -> Any:
    with suppress(Exception):
        return pikepdf.NameTree(document.Root.Names.Dests)[str(name)]
    with suppress(Exception):
        return document.Root.Dests[str(name)]
    return None


def _down(page: Any, y: float) -> float | None:
    if int(page.obj.get("/Rotate", 0)) % 360:
        return None
    _, bottom, _, top = (float(edge) for edge in page.cropbox)
    return min(1.0, max(0.0, (top - y) / (top - bottom))) if top > bottom else None
