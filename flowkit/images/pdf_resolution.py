"""Resolution of a PDF page: that of its images and masks, through forms and transformations.

It is imported by the program that opens PDF files, and needs pdfium alone.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

DPI = 300
"""The least resolution of a page with text or paths, and that of one without anything."""

MOST_DPI = 1200  # unless a page is mostly an image of more
POINTS = 72  # per inch

_COUNTS = 0.1  # share of a page that an image of more than 300 dpi must cover to decide for all of it
_MOSTLY = 0.5
_ALL = 0.95
_ALIKE = 0.02  # relative: images of these resolutions are strips of one
_SQUARE = 0.01  # relative: across and down are kept apart, so that the page has its image's own pixels
_SKEWED = 0.01  # a sine
_INSET = 0.02  # pixels
_MOST_OBJECTS = 100_000
_DEEPEST = 15  # forms in forms
_RECTANGLE = 6  # segments at most

Matrix = tuple[float, float, float, float, float, float]
Size = tuple[int, int]


class Placed(NamedTuple):
    """An image on a page: dots per inch along the page's sides, and its share of the page."""

    across: float
    down: float
    area: float


class Thing(NamedTuple):
    """An image of pdfium: its matrix within the form that it is in, and its sides on the page in inches."""

    thing: Any
    own: Matrix
    sides: tuple[float, float]


class Masks(NamedTuple):
    """The masks of images of one size: their sizes, and whether there are images of this size without."""

    sizes: tuple[Size, ...]
    opaque: bool


@dataclass
class Content:
    """The content of a page.

    Attributes:
        images: with their masks.
        drawn: whether text or paths can be seen.
        text: whether there is text, seen or not.
        sizes: of all images and masks, in pixels.
        placed: the images as pdfium has them.
    """

    images: list[Placed] = field(default_factory=list)
    drawn: bool = False
    text: bool = False
    sizes: list[Size] = field(default_factory=list)
    placed: list[Thing] = field(default_factory=list)


def resolution(content: Content) -> tuple[float, float]:
    """Choose the dots per inch across and down that a page is drawn at.

    It is that of the sharpest image or mask, if all that are as sharp cover a tenth of the page; smaller ones
    count up to 300 dpi. Text and paths want 300 dpi at least. More than 1200 dpi are for pages that are
    mostly such images. Images of nearly the same resolution are strips of one, and decide by their mean.
    """
    sharpest = max(map(_dpi, content.images), default=DPI)
    least = DPI if content.drawn else min(DPI, sharpest)
    most = MOST_DPI
    deciding = _sharpest(content.images, _MOSTLY)
    if deciding is not None and _dpi(deciding) > MOST_DPI:
        most = math.ceil(_dpi(deciding))
    else:
        deciding = _sharpest(content.images, _COUNTS)
    if deciding is None or _dpi(deciding) < least:
        return float(least), float(least)
    alike = [image for image in content.images if abs(_dpi(image) / _dpi(deciding) - 1) < _ALIKE]
    areas = [image.area for image in alike]
    across, down = _mean([i.across for i in alike], areas), _mean([i.down for i in alike], areas)
    if abs(across / down - 1) < _SQUARE and max(across, down) <= most:
        return across, down
    return 2 * (min(most, max(across, down)),)


def _dpi(image: Placed) -> float:
    return max(image.across, image.down)


def _sharpest(images: Sequence[Placed], share: float) -> Placed | None:
    """Return the sharpest image for which it and all sharper ones cover so much of the page."""
    covered = 0.0
    for image in sorted(images, key=_dpi, reverse=True):
        covered += image.area
        if covered >= share:
            return image
    return None


def content_of(
    page: Any, masks: Mapping[Size, Masks], unit: float, groups: Sequence[tuple[Matrix, Size]] = ()
) -> Content:
    """Look through the objects of a page.

    Args:
        page: pypdfium2's.
        masks: of the images in the document, by the images' sizes.
        unit: the page's UserUnit.
        groups: images in soft masks, each with its matrix and size.
    """
    walk = _Walk(page, masks, unit)
    for matrix, size in groups:
        walk.content.sizes.append(size)
        walk.place(matrix, size)
    return walk.content


def keep_in_pixels(content: Content, across: float, down: float) -> None:
    """Make the images on a page smaller by a hundredth of a pixel on each side.

    pdfium rounds their places outwards. Where an image has the page's own pixels, rounding errors would
    make it a pixel larger, and all of its pixels would be resampled.
    """
    for image in content.placed:
        a, b, c, d, e, f = image.own
        u, v = 1 - _INSET / (image.sides[0] * across), 1 - _INSET / (image.sides[1] * down)
        if min(u, v) > 0:
            x, y = (1 - u) / 2, (1 - v) / 2
            matrix = a * u, b * u, c * v, d * v, e + a * x + c * y, f + b * x + d * y
            pdfium.FPDFPageObj_SetMatrix(image.thing, pdfium.FS_MATRIX(*matrix))


class _Walk:
    """A walk through a page's objects, in the order in which they are painted."""

    def __init__(self, page: Any, masks: Mapping[Size, Masks], unit: float) -> None:
        self.masks = masks
        self.inches = unit / POINTS  # in a unit of the page
        self.box = page.get_bbox()
        self.turned = page.get_rotation() in (90, 270)
        self.left = _MOST_OBJECTS
        self.content = Content()
        counts = pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject
        self._each(page.raw, *counts, (1.0, 0.0, 0.0, 1.0, 0.0, 0.0), 0)
        if self.left < 0 or self._has_annotations(page.raw):
            self.content.drawn = True

    def _each(
        self, parent: Any, count: Callable[..., int], get: Callable[..., Any], matrix: Matrix, level: int
    ) -> None:
        for index in range(count(parent)):
            self.left -= 1
            if self.left < 0:
                return
            thing = get(parent, index)
            kind = pdfium.FPDFPageObj_GetType(thing)
            if kind == pdfium.FPDF_PAGEOBJ_FORM and level < _DEEPEST:
                counts = pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject
                self._each(thing, *counts, product(_matrix(thing), matrix), level + 1)
            elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
                self._image(thing, matrix)
            elif kind == pdfium.FPDF_PAGEOBJ_TEXT:
                self.content.text = True
                unseen = pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP
                if pdfium.FPDFTextObj_GetTextRenderMode(thing) not in unseen:
                    self.content.drawn = True
            elif kind == pdfium.FPDF_PAGEOBJ_SHADING or (
                kind == pdfium.FPDF_PAGEOBJ_PATH and self._is_drawn(thing, matrix)
            ):
                self.content.drawn = True

    def _image(self, thing: Any, outer: Matrix) -> None:
        own = _matrix(thing)
        matrix = product(own, outer)
        width, height = ctypes.c_uint(), ctypes.c_uint()
        pdfium.FPDFImageObj_GetImagePixelSize(thing, width, height)
        size = width.value, height.value
        masks = self.masks.get(size, Masks((), True))
        self.content.sizes += [size, *masks.sizes]
        wide, high = (max(numbers) for numbers in zip(size, *masks.sizes, strict=True))
        placed = self.place(matrix, (wide, high))
        if placed is None:
            return
        a, b, c, d = matrix[:4]
        sides = math.hypot(a, b) * self.inches, math.hypot(c, d) * self.inches
        self.content.placed.append(Thing(thing, own, sides))
        if placed.area > _ALL and masks.opaque and not pdfium.FPDFPageObj_HasTransparency(thing):
            self.content.drawn = False  # what is painted before it cannot be seen

    def place(self, matrix: Matrix, size: Size) -> Placed | None:
        """Count an image of so many pixels, unless nothing of it is on the page."""
        a, b, c, d = matrix[:4]
        sides = math.hypot(a, b) * self.inches, math.hypot(c, d) * self.inches
        area = self._share(matrix)
        if not area or not all(sides) or not all(size):
            return None
        across, down = (n / side for n, side in zip(size, sides, strict=True))
        if (abs(b) > abs(a)) != self.turned:
            across, down = down, across
        if min(abs(a), abs(b)) > _SKEWED * max(abs(a), abs(b)):
            across = down = max(across, down)
        placed = Placed(across, down, area)
        self.content.images.append(placed)
        return placed

    def _is_drawn(self, path: Any, matrix: Matrix) -> bool:
        """Return whether a path paints anything but the ground of the page."""
        fill, stroke = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDFPath_GetDrawMode(path, fill, stroke)
        if stroke.value or not fill.value:
            return bool(stroke.value)
        if pdfium.FPDFPath_CountSegments(path) > _RECTANGLE:
            return True
        edges = [ctypes.c_float() for _ in range(4)]
        pdfium.FPDFPageObj_GetBounds(path, *edges)
        left, bottom, right, top = (edge.value for edge in edges)
        return self._share(product((right - left, 0, 0, top - bottom, left, bottom), matrix)) < _MOSTLY

    def _share(self, matrix: Matrix) -> float:
        """Return the share of the page under the unit square."""
        a, b, c, d, e, f = matrix
        left, bottom, right, top = self.box
        x, y = (e, e + a, e + c, e + a + c), (f, f + b, f + d, f + b + d)
        width, height = min(right, max(x)) - max(left, min(x)), min(top, max(y)) - max(bottom, min(y))
        page = (right - left) * (top - bottom)
        return width * height / page if width > 0 and height > 0 and page > 0 else 0.0

    @staticmethod
    def _has_annotations(page: Any) -> bool:
        """Return whether there are annotations to be seen, such as stamps and fields of forms."""
        hidden = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
        for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
            note = pdfium.FPDFPage_GetAnnot(page, index)
            kind, flags = pdfium.FPDFAnnot_GetSubtype(note), pdfium.FPDFAnnot_GetFlags(note)
            pdfium.FPDFPage_CloseAnnot(note)
            if kind not in (pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP) and not flags & hidden:
                return True
        return False


def _matrix(thing: Any) -> Matrix:
    found = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(thing, found)
    return found.a, found.b, found.c, found.d, found.e, found.f


def product(inner: Matrix, outer: Matrix) -> Matrix:
    """Return the matrix of what is placed by one matrix into a space that is placed by another."""
    a, b, c, d, e, f = inner
    p, q, r, s, t, u = outer
    return a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
