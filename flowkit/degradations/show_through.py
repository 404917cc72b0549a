"""Writing from the back of the leaf that shines or bleeds through."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from flowkit.degradations.base import Between, Degradation, Range, Scene, absorb, draw
from flowkit.degradations.texture import Array, blur, smooth_field, smoothstep
from flowkit.registry import register
from flowkit.synthetic.page import draw_page

_BROWN = (0.75, 1.0, 1.2)
_SHEETS, _SIDE = 6, 1024


@register("show_through")
@dataclass(frozen=True, kw_only=True)
class ShowThrough(Degradation):
    """The back of the leaf shines through the paper: mirrored, blurred, even."""

    strength: Annotated[Range, Between(0, 0.95)] = (0.1, 0.55)
    sigma: Annotated[Range, Between(0, 20)] = (0.5, 3.0)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `strength`: the light that full ink takes; `sigma` of the blur in pixels."""
        veil = blur(_verso(image, scene), draw(scene.rng, self.sigma))
        return image * (1 - np.float32(draw(scene.rng, self.strength)) * veil)[..., None]


@register("bleed_through")
@dataclass(frozen=True, kw_only=True)
class BleedThrough(Degradation):
    """Ink of the other side has soaked through: mirrored, in patches, in places as dark as this side's."""

    strength: Annotated[Range, Between(0, 4)] = (0.3, 2.4)
    sigma: Annotated[Range, Between(0, 20)] = (0.6, 2.0)
    halo: Annotated[Range, Between(0, 1)] = (0.1, 0.5)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `strength`: optical density (this side has about 2); `halo`: the share that ran far."""
        rng, verso = scene.rng, _verso(image, scene)
        height, width = verso.shape
        patches = smoothstep(smooth_field(height, width, 0.25 * (height + width), rng, 3), -1.2, 1.4)
        halo = draw(rng, self.halo)
        seen = (1 - halo) * blur(verso, draw(rng, self.sigma)) + halo * blur(verso, rng.uniform(3, 5))
        seen = seen * (0.25 + 0.75 * patches) * (1 + 0.15 * smooth_field(height, width, 5, rng))
        return absorb(image, np.asarray(draw(rng, self.strength) * seen, np.float32), _BROWN)


def _verso(image: Array, scene: Scene) -> Array:
    """Return the ink of the other side behind each pixel, (H, W) in [0, 1]."""
    height, width = image.shape[:2]
    page = scene.other() if scene.other is not None else _writing(scene.rng)
    rows, columns = np.arange(height) % page.shape[0], np.arange(width)[::-1] % page.shape[1]
    if scene.other is None:
        rows = (rows + scene.rng.integers(page.shape[0])) % page.shape[0]
        columns = (columns + scene.rng.integers(page.shape[1])) % page.shape[1]
    grey = np.asarray(page, np.float32).mean(axis=2)
    # most of the page is paper; a sample of the pixels is enough to find its colour
    paper = max(float(np.quantile(grey[:: max(1, len(grey) // 64)], 0.9)), 1e-3)
    return np.asarray(np.clip(1 - grey[np.ix_(rows, columns)] / np.float32(paper), 0, 1), np.float32)


def _writing(rng: np.random.Generator) -> NDArray[Any]:
    return _sheet(int(rng.integers(_SHEETS)))


@lru_cache(maxsize=_SHEETS)
def _sheet(number: int) -> NDArray[Any]:
    """Return one of a few drawn pages, which are kept because drawing takes most of the time."""
    ink = draw_page(_SIDE, _SIDE, np.random.default_rng(number), text_size=22 + 5 * number)
    margin = _SIDE // 8
    return (~ink[margin:-margin, margin:-margin]).astype(np.float32)[..., None]
