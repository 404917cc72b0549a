"""Folds and creases of a leaf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from PIL import Image, ImageDraw

from flowkit.degradations.base import Between, Degradation, Range, Scene, absorb, draw
from flowkit.degradations.texture import Array, blur, smooth_field
from flowkit.registry import register

_DIRT = (0.9, 1.0, 1.1)


@register("fold")
@dataclass(frozen=True, kw_only=True)
class Fold(Degradation):
    """Folds from edge to edge: a worn or dirty line, with more shade on one side of it."""

    count: Annotated[tuple[int, int], Between(0, 50)] = (1, 2)
    strength: Annotated[Range, Between(0, 2)] = (0.05, 0.35)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `strength`: optical density of the line, negative for half of them (worn ink)."""
        rng = scene.rng
        height, width = image.shape[:2]
        x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
        density = np.zeros((height, width), np.float32)
        for _ in range(int(rng.integers(self.count[0], self.count[1] + 1))):
            angle = rng.normal(0, 0.03) + np.pi / 2 * rng.integers(2)
            through = rng.uniform(0, width), rng.uniform(0, height)
            away = np.float32(np.cos(angle)) * (x - np.float32(through[0]))
            away = away + np.float32(np.sin(angle)) * (y - np.float32(through[1]))
            away += np.float32(1.2) * smooth_field(height, width, 40, rng)
            depth = draw(rng, self.strength)
            worn = 1 + np.float32(0.5) * smooth_field(height, width, 30, rng)
            line = np.exp(-((away / rng.uniform(0.7, 2.2)) ** 2)) * worn
            shade = np.exp(-np.maximum(away, 0) / rng.uniform(8, 60)) * (away > 0)
            density += np.float32(depth * rng.choice([-0.6, 1.0])) * line + np.float32(0.4 * depth) * shade
        return absorb(image, density, _DIRT)


@register("crease")
@dataclass(frozen=True, kw_only=True)
class Crease(Degradation):
    """Short crooked creases of crumpled paper, light on one side and dark on the other."""

    count: Annotated[tuple[int, int], Between(0, 1000)] = (3, 15)
    strength: Annotated[Range, Between(0, 2)] = (0.05, 0.3)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `strength`: optical density of the dark side."""
        rng = scene.rng
        height, width = image.shape[:2]
        canvas = Image.new("L", (width, height), 0)
        pen = ImageDraw.Draw(canvas)
        for _ in range(int(rng.integers(self.count[0], self.count[1] + 1))):
            x, y, turn = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 2 * np.pi)
            points = [(x, y)]
            for _ in range(int(rng.integers(3, 12))):
                turn += rng.normal(0, 0.35)
                step = rng.uniform(0.01, 0.05) * (height + width)
                x, y = x + step * np.cos(turn), y + step * np.sin(turn)
                points.append((x, y))
            pen.line(points, fill=int(rng.integers(90, 255)), width=int(rng.integers(1, 4)))
        ridge = blur(np.asarray(canvas, np.float32) / np.float32(255), rng.uniform(0.6, 1.2))
        relief = ridge - 0.8 * np.roll(ridge, (1, 2), (0, 1))
        return absorb(image, np.float32(2 * draw(rng, self.strength)) * relief, _DIRT)
