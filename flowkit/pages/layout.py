"""The layout of a page, its border and regions, from PAGE and ALTO files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from flowkit.errors import ImageError
from flowkit.pages.page import Page

MAX_BYTES = 100_000_000
"""The largest file that is read: a page of newspaper with all its glyphs has a tenth."""

Polygon = tuple[tuple[float, float], ...]
"""Three points (x, y) or more, in the file's own unit."""

_PICTURES = {"ImageRegion", "GraphicRegion", "ChartRegion", "MapRegion", "Illustration", "GraphicalElement"}
_NOISE = "NoiseRegion"
_BLOCKS = {"TextBlock", "Illustration", "GraphicalElement"}
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_SKEW = 0.01  # how much the sides of image and layout may differ in proportion


@dataclass(frozen=True)
class Layout:
    """The border and the regions of a page.

    Attributes:
        name: of the file, for messages.
        size: height and width of the page, in the unit of the points.
        border: where the page ends; None for its whole image.
        regions: of text, tables, pictures, lines, ...; without any, all inside the border counts.
        pictures: those of the regions that are pictures.
        noise: regions that are left out.
    """

    name: str
    size: tuple[float, float]
    border: Polygon | None = None
    regions: tuple[Polygon, ...] = ()
    pictures: tuple[Polygon, ...] = ()
    noise: tuple[Polygon, ...] = ()

    def inside(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return what is to be kept of an image (H, W) of the page: regions inside the border, and no noise.

        Raises:
            ImageError: the image has other proportions; it is of another page, or was cropped.
        """
        whole = Image.new("1", size[::-1], 1)
        kept = self._filled(self.regions, size) if self.regions else whole
        if self.border is not None:
            kept = Image.composite(kept, Image.new("1", kept.size), self._filled([self.border], size))
        for polygon in self._scaled(self.noise, size):
            ImageDraw.Draw(kept).polygon(polygon, fill=0)
        return np.asarray(kept)

    def of_pictures(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pictures in an image (H, W) of the page. Raises ImageError, as `inside`."""
        return np.asarray(self._filled(self.pictures, size))

    def _filled(self, polygons: Iterable[Polygon], size: tuple[int, int]) -> Image.Image:
        mask = Image.new("1", size[::-1])
        draw = ImageDraw.Draw(mask)
        for polygon in self._scaled(polygons, size):
            draw.polygon(polygon, fill=1)
        return mask

    def _scaled(self, polygons: Iterable[Polygon], size: tuple[int, int]) -> Iterator[list[Any]]:
        down, across = (own / given for own, given in zip(size, self.size, strict=True))
        if abs(down / across - 1) > _SKEW:
            raise ImageError(
                f"{self.name}: is the layout of a page of {self.size[1]:g} x {self.size[0]:g}, and the image "
                f"has {size[1]} x {size[0]} pixels; expected the same proportions"
            )
        for polygon in polygons:
            yield [(across * x, down * y) for x, y in polygon]


def read_layout(path: str | PathLike[str]) -> Layout:
    """Read a PAGE file (of 2009 or later), or an ALTO file of one page in any of its units.

    What ALTO has as PrintSpace counts where it lists no blocks. Lines, words and glyphs are not looked at.

    Raises:
        ImageError: it is not there, is not a PAGE or ALTO file, or is damaged.
    """
    path = Path(path)
    root = _parsed(path)
    kind = _local(root)
    try:
        if kind == "PcGts":
            return _of_page(str(path), root)
        if kind == "alto":
            return _of_alto(str(path), root)
    except KeyError as error:
        raise ImageError(f"{path}: is damaged: an element has no {error.args[0]}") from None
    except ValueError as error:
        raise ImageError(f"{path}: is damaged: {error}") from None
    raise ImageError(f"{path}: its root is <{kind}>, expected <PcGts> (PAGE) or <alto> (ALTO)")


def within(page: Page, inside: NDArray[np.bool_]) -> Page:
    """Remove ink, votes and samples outside of a mask (H, W); return the page with a note on them.

    Its arrays are changed in place.
    """
    outside = ~inside
    found, lost = np.count_nonzero(page.binary), np.count_nonzero(page.binary & outside)
    page.binary[outside] = False
    for votes in (page.votes, *(() if page.kept is None else page.kept)):
        if votes is not None:
            votes[outside] = 0
    if not lost:
        return page
    note = f"{100 * lost / found:.1f} % of the ink is outside of the layout, and left out"
    return replace(page, notes=(*page.notes, note))


class _Builder(ElementTree.TreeBuilder):
    """A builder of trees that refuses entities: a few bytes of them could stand for gigabytes."""

    def doctype(self, *_: object) -> None:
        raise ValueError("it declares a document type, which PAGE and ALTO files do not have")


def _parsed(path: Path) -> Element:
    try:
        if (found := path.stat().st_size) > MAX_BYTES:
            raise ImageError(f"{path}: {found:,} bytes, expected {MAX_BYTES:,} or less")
        parser = ElementTree.XMLParser(target=_Builder())
        return ElementTree.parse(path, parser).getroot()
    except (ElementTree.ParseError, ValueError) as error:
        raise ImageError(f"{path}: is not a PAGE or ALTO file: {error}") from None
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file, expected a PAGE or ALTO file") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None


def _of_page(name: str, root: Element) -> Layout:
    page = _page(root)
    border = next((_coords(element) for element in page if _local(element) == "Border"), None)
    regions = [(_local(e), _coords(e)) for e in page.iter() if _local(e).endswith("Region")]
    return Layout(
        name,
        _size(page, "imageHeight", "imageWidth"),
        border,
        *_sorted(regions),
    )


def _of_alto(name: str, root: Element) -> Layout:
    page = _page(root)
    regions = [(_local(e), _block(e)) for e in page.iter() if _local(e) in _BLOCKS]
    space = next((_block(e) for e in page if _local(e) == "PrintSpace" and "WIDTH" in e.attrib), None)
    return Layout(
        name,
        _size(page, "HEIGHT", "WIDTH"),
        None if regions else space,
        *_sorted(regions),
    )


def _sorted(
    regions: Iterable[tuple[str, Polygon]],
) -> tuple[tuple[Polygon, ...], tuple[Polygon, ...], tuple[Polygon, ...]]:
    """Sort regions into those that are kept, the pictures among these, and noise."""
    regions = list(regions)
    return (
        tuple(polygon for kind, polygon in regions if kind != _NOISE),
        tuple(polygon for kind, polygon in regions if kind in _PICTURES),
        tuple(polygon for kind, polygon in regions if kind == _NOISE),
    )


def _page(root: Element) -> Element:
    pages = [element for element in root.iter() if _local(element) == "Page"]
    if len(pages) != 1:
        raise ValueError(f"it has {len(pages)} elements <Page>, expected one")
    return pages[0]


def _size(page: Element, height: str, width: str) -> tuple[float, float]:
    size = float(page.attrib[height]), float(page.attrib[width])
    if not (min(size) > 0 and max(size) < math.inf):
        raise ValueError(f"its page is {size[1]:g} x {size[0]:g}, expected a size above 0")
    return size


def _coords(element: Element) -> Polygon:
    """Read the outline of a PAGE element: an attribute `points`, or before 2013 an element for each point."""
    coords = next((child for child in element if _local(child) == "Coords"), None)
    if coords is None:
        raise ValueError(f"a {_local(element)} has no Coords")
    if "points" in coords.attrib:
        return _polygon(coords.attrib["points"], element)
    return _polygon(" ".join(f"{point.attrib['x']},{point.attrib['y']}" for point in coords), element)


def _block(element: Element) -> Polygon:
    """Read the outline of an ALTO element: its polygon if there is one, otherwise its box."""
    shapes = (shape for child in element if _local(child) == "Shape" for shape in child)
    polygon = next((shape for shape in shapes if _local(shape) == "Polygon"), None)
    if polygon is not None:
        return _polygon(polygon.attrib["POINTS"], element)
    x, y, w, h = (float(element.attrib[name]) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    return ((x, y), (x + w, y), (x + w, y + h), (x, y + h))


def _polygon(points: str, element: Element) -> Polygon:
    numbers = [float(number) for number in _NUMBER.findall(points)]
    if len(numbers) < 6 or len(numbers) % 2 or re.search(r"[^\d\s,.eE+-]", points):
        found = f'a {_local(element)} has the points "{points[:40]}"'
        raise ValueError(f"{found}, expected x,y three times or more")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _local(element: Element) -> str:
    """Return the name of an element, without its namespace."""
    return str(element.tag).rpartition("}")[2]
