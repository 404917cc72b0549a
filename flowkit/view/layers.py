"""Layers of a page as PNG: images that a run wrote, and the clean page by the ink of a run."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit.errors import OutputError
from flowkit.images.reader import read
from flowkit.pages.cleaning import cleaned
from flowkit.pages.decision import check_sampling
from flowkit.pages.page import Page
from flowkit.pages.polarity import Invert, dark_on_light

_CACHED = 8  # layers that are kept in memory


class Layer(NamedTuple):
    """A page of an image file."""

    path: Path
    page: int | None = None


class CleanLayer(NamedTuple):
    """The clean page by ink that is known, with the options that the ink was found with."""

    source: Layer
    ink: Layer
    scales: tuple[float, ...]
    invert: Invert
    pdf_dpi: float | None


@functools.lru_cache(maxsize=_CACHED)
def png_of(layer: Layer | CleanLayer, changed: tuple[int, ...]) -> bytes:
    """Return a layer as PNG; `changed` holds the times of its files, so that new ones are read again.

    Raises:
        ImageError: a file cannot be read.
        OutputError: the ink has another size than its page, as that of models that enlarge.
    """
    if isinstance(layer, CleanLayer):
        return _png(_clean(layer))
    values = read(layer.path, page=layer.page).eight_bits()
    return _png(values[..., 0] if values.shape[2] == 1 else values)


def _clean(layer: CleanLayer) -> NDArray[np.uint8]:
    picture = read(layer.source.path, page=layer.source.page, pdf_dpi=layer.pdf_dpi)
    ink = read(layer.ink.path, page=layer.ink.page).eight_bits()[..., 0] < 128
    if picture.size != ink.shape:
        sizes = " and ".join(f"{width} x {height}" for height, width in (picture.size, ink.shape))
        raise OutputError(f"{layer.ink.path}: page and ink are {sizes}, expected one size for a clean page")
    page = Page(ink, check_sampling(), scales=layer.scales)
    return cleaned(dark_on_light(picture, layer.invert), page).image


def _png(values: NDArray[np.uint8]) -> bytes:
    data = io.BytesIO()
    Image.fromarray(values).save(data, "PNG", compress_level=1)
    return data.getvalue()
