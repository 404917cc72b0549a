"""Pictures on a page of text: photographs and halftones, which are not ink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from flowkit.degradations.base import Between, Degradation, Range, Scene, draw
from flowkit.degradations.texture import Array, smooth_field, smoothstep
from flowkit.registry import register

_TRIES = 24  # rectangles that are tried to find one without ink


@register("picture")
@dataclass(frozen=True, kw_only=True)
class Picture(Degradation):
    """A photograph or a halftone where the page has no ink; none where there is no room for it."""

    size: Annotated[Range, Between(0.02, 1)] = (0.15, 0.7)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `size`: sides as a share of the page's, reduced until the place is free of ink."""
        rng = scene.rng
        place = self._free(image.shape[:2], scene)
        if place is None:
            return image
        rows, columns = place
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        tones = _photograph(shape, rng)
        if rng.random() < 0.4:
            tones = _halftone(tones, rng)
        colour = np.clip(rng.uniform(0.8, 1.1, 3), 0, 1) if rng.random() < 0.4 else np.ones(3)
        out = image.copy()
        dark = np.float32(rng.uniform(0.03, 0.2))
        out[rows, columns] *= (dark + (1 - dark) * tones)[..., None] * colour.astype(np.float32)
        return out

    def _free(self, shape: tuple[int, ...], scene: Scene) -> tuple[slice, slice] | None:
        height, width = shape[:2]
        rng = scene.rng
        sides = np.array([draw(rng, self.size), draw(rng, self.size)])
        for _ in range(_TRIES):
            high, wide = (max(1, int(side * n)) for side, n in zip(sides, (height, width), strict=True))
            top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
            place = slice(top, top + high), slice(left, left + wide)
            if min(high, wide) < 16:
                return None
            if scene.ink is None or not scene.ink[place].any():
                return place
            sides *= 0.9
        return None


def _photograph(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Draw grey tones (H, W) in [0, 1]: light and shade at every scale, and things with outlines."""
    height, width = shape
    side = float(np.sqrt(height * width))
    tones = 0.5 + 0.25 * smooth_field(height, width, 0.4 * side, rng, 6)
    for _ in range(int(rng.integers(1, 6))):
        outline = smooth_field(height, width, rng.uniform(0.1, 0.5) * side, rng, 4)
        inside = smoothstep(outline, 0.0, rng.uniform(0.02, 0.4))
        shade = rng.uniform(0, 1) + 0.15 * smooth_field(height, width, rng.uniform(0.02, 0.3) * side, rng, 3)
        tones = tones * (1 - inside) + shade * inside
    return np.asarray(np.clip(tones, 0, 1), np.float32)


def _halftone(tones: Array, rng: np.random.Generator) -> Array:
    """Print the tones as a screen of dots."""
    pitch, angle = rng.uniform(3, 9), rng.uniform(0, np.pi / 2)
    y, x = np.mgrid[: tones.shape[0], : tones.shape[1]].astype(np.float32) * np.float32(2 * np.pi / pitch)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    screen = 0.5 + 0.25 * (np.cos(u) + np.cos(v))
    return smoothstep(np.asarray(tones - screen, np.float32), -0.2, 0.2)
