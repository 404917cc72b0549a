"""Uneven light on a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from flowkit.degradations.base import Between, Degradation, Range, Scene, draw
from flowkit.degradations.texture import Array, smooth_field
from flowkit.registry import register


@register("uneven_light")
@dataclass(frozen=True, kw_only=True)
class UnevenLight(Degradation):
    """A lamp to one side, and soft shadows of a leaf that does not lie flat."""

    slope: Annotated[Range, Between(0, 0.9)] = (0.0, 0.15)
    shadow: Annotated[Range, Between(0, 0.4)] = (0.0, 0.06)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `slope`: from the middle to an edge; `shadow`: standard deviation of the soft part."""
        height, width = image.shape[:2]
        x, y = _across(width), _across(height)[:, None]
        angle, slope = scene.rng.uniform(0, 2 * np.pi), draw(scene.rng, self.slope)
        light = 1 + slope * (float(np.cos(angle)) * x + float(np.sin(angle)) * y)
        if shadow := draw(scene.rng, self.shadow):
            light = light + np.float32(shadow) * smooth_field(
                height, width, 0.4 * (height + width), scene.rng
            )
        return np.asarray(image * light[..., None], np.float32)


@register("vignette")
@dataclass(frozen=True, kw_only=True)
class Vignette(Degradation):
    """Corners darker than the middle."""

    depth: Annotated[Range, Between(0, 0.95)] = (0.05, 0.4)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Multiply by 1 - depth * r ** 2 with r = 1 in the corners; the middle is a little off."""
        height, width = image.shape[:2]
        x = _across(width) + scene.rng.uniform(-0.2, 0.2)
        y = _across(height)[:, None] + scene.rng.uniform(-0.2, 0.2)
        light = 1 - draw(scene.rng, self.depth) * (x**2 + y**2) / 2
        return image * np.maximum(light, 0.02).astype(np.float32)[..., None]


@register("gutter_shadow")
@dataclass(frozen=True, kw_only=True)
class GutterShadow(Degradation):
    """The dark side where a leaf bends into the binding, or the shadow along another edge."""

    depth: Annotated[Range, Between(0, 0.95)] = (0.2, 0.7)
    reach: Annotated[Range, Between(0.005, 1)] = (0.03, 0.15)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Multiply by 1 - depth * exp(-distance / reach), reach relative to the side."""
        upright = scene.rng.random() < 0.8
        away = np.linspace(0, 1, image.shape[1 if upright else 0], dtype=np.float32)
        away = away if scene.rng.random() < 0.5 else 1 - away
        light = 1 - draw(scene.rng, self.depth) * np.exp(-away / draw(scene.rng, self.reach))
        shade = light[None, :, None] if upright else light[:, None, None]
        return np.asarray(image * shade, np.float32)


def _across(n: int) -> Array:
    return np.linspace(-1, 1, n, dtype=np.float32)
