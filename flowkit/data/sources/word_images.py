"""Words or lines on pages, by the boxes of PAGE XML files, as in GRPOLY-DB."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flowkit.data.find import report
from flowkit.data.sources.base import Source
from flowkit.data.tasks import Box, HighSheet, Sheet, Task
from flowkit.errors import DataError
from flowkit.images.reader import RASTER_SUFFIXES
from flowkit.registry import register

MAX_BYTES = 1 << 26  # a page of ten thousand transcribed words has less than a tenth of it


@register("word_images")
class WordImages(Source):
    """Words or lines of page images: each patch lies over one of them. Pages stay whole in the split.

    Args:
        task: not binary.
        base: of relative paths.
        path: a folder, or several, with PAGE XML files, at any depth. An image is what `imageFilename` says,
            beside its XML file, or has the same stem.
        level: what a patch lies over.
    """

    def __init__(
        self, task: Task, base: Path, *, path: str | list[str], level: Literal["word", "line"] = "word"
    ) -> None:
        super().__init__(task, base)
        self.folders = [base / p for p in ([path] if isinstance(path, str) else path)]
        self.level = level

    def find(self) -> Sequence[Sheet]:
        """Return the pages that have boxes.

        Raises:
            DataError: folders without XML, files that are no PAGE XML or whose image is missing, no boxes at
                all, or a model that wants ink; all are listed.
        """
        if self.task.binary:
            raise DataError('source "word_images" has no ink; binary targets want "paired" or "drawn"')
        sheets: list[Sheet] = []
        problems: list[str] = []
        for folder in self.folders:
            files = [p for p in sorted(folder.glob("**/*")) if p.suffix.lower() == ".xml"]
            if not files:
                problems.append(f"{folder}: no PAGE XML files")
            for file in files:
                try:
                    page = read_page_xml(file, self.level)
                except DataError as error:
                    problems.append(str(error))
                    continue
                if page.boxes:
                    sheets.append(HighSheet(page.image, self.task, page.boxes, page.size))
        if not sheets and not problems:
            problems.append(f"{self.folders[0]}: no page with a {self.level}")
        report(problems)
        return sheets


@dataclass(frozen=True)
class PageXml:
    """The parts of a PAGE XML file that training needs.

    Attributes:
        image: the file of the page.
        size: its width and height, or None where the XML does not say.
        boxes: around the words or lines, in the order of the file.
    """

    image: Path
    size: tuple[int, int] | None
    boxes: tuple[Box, ...]


def read_page_xml(file: Path, level: Literal["word", "line"]) -> PageXml:
    """Read a PAGE XML file of any year: `Coords` with `points`, or with `Point` elements (2010).

    Raises:
        DataError: the file is no PAGE XML, or its image cannot be found.
    """
    root = _root(file)
    page = next((child for child in root if _tag(child) == "Page"), None)
    if _tag(root) != "PcGts" or page is None:
        raise DataError(f"{file}: not PAGE XML (expected <PcGts> with a <Page>, found <{_tag(root)}>)")
    wanted = {"word": "Word", "line": "TextLine"}[level]
    try:
        size = int(page.get("imageWidth", 0)), int(page.get("imageHeight", 0))
        found = [_box(element) for element in page.iter() if _tag(element) == wanted]
    except ValueError as error:
        raise DataError(f"{file}: a number cannot be read ({error})") from None
    boxes = tuple(box for box in found if box is not None)
    return PageXml(_image(file, page.get("imageFilename", "")), size if all(size) else None, boxes)


def _root(file: Path) -> ET.Element:
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise DataError(f"{file}: more than {MAX_BYTES:,} bytes, which no PAGE XML file has")
        if b"<!DOCTYPE" in raw:  # entities can make a small file a very large one, and PAGE has none
            raise DataError(f"{file}: not PAGE XML (it declares a document type)")
        return ET.fromstring(raw)
    except (OSError, ET.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{file}: cannot be read as XML ({error})") from None


def _tag(element: ET.Element) -> str:
    """Return the tag without the namespace, which differs from year to year."""
    return element.tag.rpartition("}")[2]


def _box(element: ET.Element) -> Box | None:
    """Return the box around the element's own outline, or None if it is empty."""
    coords = next((child for child in element if _tag(child) == "Coords"), None)
    if coords is None:
        return None
    if "points" in coords.attrib:
        points = [tuple(map(float, point.split(","))) for point in coords.attrib["points"].split()]
    else:
        points = [(float(p.get("x", "")), float(p.get("y", ""))) for p in coords if _tag(p) == "Point"]
    if any(len(point) != 2 for point in points):
        raise ValueError("a point has an x and a y")
    if not points:
        return None
    across, down = ([round(point[axis]) for point in points] for axis in (0, 1))
    box = min(across), min(down), max(across) + 1, max(down) + 1
    return box if box[2] - box[0] > 1 and box[3] - box[1] > 1 else None


def _image(file: Path, name: str) -> Path:
    """Find the page's image. Only file names are compared: XML files hold paths of other computers."""
    beside = {p.name.lower(): p for p in sorted(file.parent.iterdir(), reverse=True)}
    said = name.replace("\\", "/").rpartition("/")[2].lower()
    if said in beside:
        return beside[said]
    same = [p for p in beside.values() if p.stem == file.stem and p.suffix.lower() in RASTER_SUFFIXES]
    if not same:
        raise DataError(f"{file}: no image {name or file.stem} beside it")
    return same[-1]
