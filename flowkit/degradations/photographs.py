"""Degradations that read a folder of photographs: real stains and real old paper."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit.degradations.bare_paper import paper
from flowkit.degradations.base import Between, Degradation, Range, Scene, draw
from flowkit.degradations.stains import Stain
from flowkit.degradations.texture import Array
from flowkit.images.reader import RASTER_SUFFIXES, read
from flowkit.registry import register

_ABSENT = "{}: no images in such a folder; drawn ones take the place of photographs"
_KEPT = 400  # number of photographs of a folder that are kept decoded, at 3 bytes a pixel
_MOST = 1_500_000  # pixels; a larger photograph is kept reduced


@register("photographed_stains")
@dataclass(frozen=True, kw_only=True)
class PhotographedStains(Degradation):
    """Real stains, cut from the photographs of a folder; drawn ones where there is no such folder."""

    folder: str = ""
    count: Annotated[tuple[int, int], Between(0, 1000)] = (1, 4)
    zoom: Annotated[Range, Between(0.1, 20)] = (0.7, 4.0)
    strength: Annotated[Range, Between(0, 3)] = (0.5, 1.4)

    def notes(self) -> list[str]:
        """Note a missing folder."""
        return [_ABSENT.format(self.folder)] if self.folder and not _photographs(self.folder) else []

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `zoom`: enlargement of a photograph; `strength`: exponent of its transmission."""
        rng = scene.rng
        files = _photographs(self.folder)
        if not files:
            return Stain().apply(image, scene)
        out = image.copy()
        for _ in range(int(rng.integers(self.count[0], self.count[1] + 1))):
            photograph = _photograph(files[int(rng.integers(len(files)))])
            # no larger than the page and a half
            zoom = min(draw(rng, self.zoom), 1.5 * max(image.shape) / max(photograph.shape))
            high, wide = (max(1, round(n * zoom)) for n in photograph.shape[:2])
            passes = _passes(photograph, (wide, high))
            # its own rim fades, so that no rectangle shows
            passes = 1 - (1 - passes ** np.float32(draw(rng, self.strength))) * _rim(passes.shape[:2])
            _multiply(out, passes, rng)
        return out


@register("photographed_paper")
@dataclass(frozen=True, kw_only=True)
class PhotographedPaper(Degradation):
    """Real blank paper from the photographs of a folder; drawn paper where there is no such folder."""

    folder: str = ""
    zoom: Annotated[Range, Between(0.1, 20)] = (0.8, 2.5)

    def notes(self) -> list[str]:
        """Note a missing folder."""
        return [_ABSENT.format(self.folder)] if self.folder and not _photographs(self.folder) else []

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `zoom`: enlargement of a photograph, which is increased until it covers the page."""
        rng = scene.rng
        files = _photographs(self.folder)
        height, width = image.shape[:2]
        if not files:
            sheet = paper((height, width), rng)
            return np.asarray(image * sheet / np.maximum(sheet.max((0, 1)), 0.05), np.float32)
        photograph = np.rot90(_photograph(files[int(rng.integers(len(files)))]), int(rng.integers(4)))
        zoom = max(draw(rng, self.zoom), height / photograph.shape[0], width / photograph.shape[1])
        rows, columns = (
            min(m, math.ceil(n / zoom)) for n, m in zip((height, width), photograph.shape, strict=False)
        )
        top, left = (
            int(rng.integers(m - n + 1)) for n, m in zip((rows, columns), photograph.shape, strict=False)
        )
        return image * _passes(photograph[top : top + rows, left : left + columns], (width, height))


@functools.cache
def _photographs(folder: str) -> tuple[Path, ...]:
    """List the images of a folder, in order; none where there is no such folder."""
    if not folder or not Path(folder).is_dir():
        return ()
    return tuple(sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in RASTER_SUFFIXES))


@functools.lru_cache(maxsize=_KEPT)
def _photograph(file: Path) -> NDArray[np.uint8]:
    pixels = read(file).rgb8()
    factor = int(np.ceil(np.sqrt(pixels.shape[0] * pixels.shape[1] / _MOST)))
    return np.asarray(Image.fromarray(pixels).reduce(factor)) if factor > 1 else pixels


def _passes(photograph: NDArray[np.uint8], size: tuple[int, int]) -> Array:
    """Return the share of light that each place lets through, (H, W, 3) in (0, 1]; size is (W, H)."""
    large = np.asarray(
        Image.fromarray(np.ascontiguousarray(photograph)).resize(size, Image.Resampling.BICUBIC), np.float32
    )
    white = np.maximum(np.percentile(large[::4, ::4].reshape(-1, 3), 90, axis=0).astype(np.float32), 8)
    return np.clip(large / white, 0.02, 1)


def _rim(shape: tuple[int, ...]) -> Array:
    """Return 0 at the border of a rectangle (H, W, 1), 1 from a tenth of its sides on."""
    ramps = [np.clip(np.minimum(np.arange(n), np.arange(n)[::-1]) / max(1, 0.1 * n), 0, 1) for n in shape]
    return np.asarray(np.minimum(ramps[0][:, None], ramps[1])[..., None], np.float32)


def _multiply(page: Array, passes: Array, rng: np.random.Generator) -> None:
    """Multiply `page` by `passes` at a random place, which may lie over an edge."""
    here, there = [], []
    for length, extent in zip(page.shape[:2], passes.shape[:2], strict=True):
        start = int(rng.integers(-extent // 2, max(1, length - extent // 2)))
        first, last = max(0, start), min(length, start + extent)
        here.append(slice(first, last))
        there.append(slice(first - start, last - start))
    page[tuple(here)] *= passes[tuple(there)]
