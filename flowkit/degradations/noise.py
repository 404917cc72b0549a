"""Noise of the sensor, and specks on the glass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from flowkit.degradations.base import Between, Degradation, Range, Scene, draw
from flowkit.degradations.texture import Array
from flowkit.registry import register


@register("noise")
@dataclass(frozen=True, kw_only=True)
class Noise(Degradation):
    """Sensor noise: grows with the light (shot noise) on a constant floor, shared in part by the channels."""

    level: Annotated[Range, Between(0, 0.5)] = (0.0, 0.03)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `level`: standard deviation on white; sqrt(0.3 + 0.7 x) of it elsewhere."""
        level = draw(scene.rng, self.level)
        shared = scene.rng.standard_normal((*image.shape[:2], 1), dtype=np.float32)
        own = scene.rng.standard_normal(image.shape, dtype=np.float32)
        noise = np.sqrt(0.3 + 0.7 * image) * (0.8 * shared + 0.6 * own)
        return np.asarray(image + level * noise, np.float32)


@register("salt_and_pepper")
@dataclass(frozen=True, kw_only=True)
class SaltAndPepper(Degradation):
    """Dust on the glass and on the film: white and black specks."""

    amount: Annotated[Range, Between(0, 0.2)] = (0.0001, 0.002)
    size: Annotated[tuple[int, int], Between(1, 8)] = (1, 2)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `amount`: specks for each pixel, at least one; `size`: their sides in pixels."""
        height, width = image.shape[:2]
        rng = scene.rng
        count = max(1, int(draw(rng, self.amount) * height * width))
        y, x = rng.integers(height, size=count), rng.integers(width, size=count)
        tall, wide = (rng.integers(self.size[0], self.size[1] + 1, size=count) for _ in range(2))
        colour = np.where(rng.random(count) < rng.uniform(0.2, 0.9), 0.05, 0.97).astype(np.float32)
        out = image.copy()
        for down in range(self.size[1]):
            for right in range(self.size[1]):
                hit = (tall > down) & (wide > right) & (y + down < height) & (x + right < width)
                out[y[hit] + down, x[hit] + right] = colour[hit, None]
        return out
