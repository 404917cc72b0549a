"""The paper itself: grain, pulp, fibres, the marks of the mould, printed lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from PIL import Image, ImageDraw

from flowkit.degradations.base import Between, Degradation, Range, Scene, absorb, draw
from flowkit.degradations.texture import Array, blur, smooth_field
from flowkit.registry import register

YELLOWING = (0.6, 1.0, 1.6)
_LINES = ((1.3, 0.9, 0.5), (0.5, 1.1, 1.2), (1.0, 1.0, 1.0), (0.8, 1.0, 1.2))


@register("paper_grain")
@dataclass(frozen=True, kw_only=True)
class PaperGrain(Degradation):
    """Cloudy texture at several scales at once, from single pixels to a third of the page."""

    fine: Annotated[Range, Between(0, 1)] = (0.005, 0.05)
    pulp: Annotated[Range, Between(0, 1)] = (0.005, 0.06)
    cloud: Annotated[Range, Between(0, 1)] = (0.0, 0.1)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; densities (deviations) `fine` of 1 to 3 pixels, `pulp` 6 to 30, `cloud` wider."""
        rng = scene.rng
        height, width = image.shape[:2]
        scales = (
            (self.fine, rng.uniform(1.2, 3.0), 1),
            (self.pulp, rng.uniform(6, 30), 2),
            (self.cloud, rng.uniform(0.08, 0.35) * (height + width), 2),
        )
        density = np.zeros((height, width), np.float32)
        for limits, cell, octaves in scales:
            if level := draw(rng, limits):
                density += np.float32(level) * smooth_field(height, width, cell, rng, octaves)
        # paper has dark places rather than light ones
        density = np.maximum(density, np.float32(-0.05))
        return absorb(image, density, YELLOWING if rng.random() < 0.5 else (1.0, 1.0, 1.0))


@register("fibres")
@dataclass(frozen=True, kw_only=True)
class Fibres(Degradation):
    """Short fibres and hairs in the paper, darker or lighter than it."""

    density: Annotated[Range, Between(0, 50_000)] = (100, 1200)
    strength: Annotated[Range, Between(0, 2)] = (0.04, 0.25)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `density`: fibres for each million pixels, at least one; `strength`: optical density."""
        rng = scene.rng
        height, width = image.shape[:2]
        count = max(1, round(draw(rng, self.density) * height * width / 1e6))
        starts = rng.uniform((0, 0), (width, height), (count, 2))
        angles = rng.uniform(0, 2 * np.pi, count)[:, None] + np.cumsum(rng.normal(0, 0.4, (count, 3)), axis=1)
        steps = rng.uniform(2, 9, (count, 1, 1)) * np.stack([np.cos(angles), np.sin(angles)], axis=2)
        paths = np.concatenate([starts[:, None], starts[:, None] + np.cumsum(steps, axis=1)], axis=1)
        canvas = Image.new("L", (width, height), 128)
        pen = ImageDraw.Draw(canvas)
        shades = np.where(rng.random(count) < rng.uniform(0.3, 1), 255, 20)
        for path, shade in zip(paths.reshape(count, -1).tolist(), shades.tolist(), strict=True):
            pen.line(path, fill=shade)
        seen = blur(np.asarray(canvas, np.float32) / np.float32(127.5) - np.float32(1.004), 0.6)
        return absorb(image, np.float32(draw(rng, self.strength)) * seen, YELLOWING)


@register("laid_lines")
@dataclass(frozen=True, kw_only=True)
class LaidLines(Degradation):
    """The mark of the mould in handmade paper: fine ribs, crossed by chain lines far apart."""

    strength: Annotated[Range, Between(0, 30)] = (0.5, 4.0)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `strength`: 1 is an optical density of 0.007 (ribs) and 0.02 (chain lines)."""
        lines = laid_lines(image.shape[0], image.shape[1], scene.rng)
        return absorb(image, np.float32(-draw(scene.rng, self.strength)) * lines, YELLOWING)


@register("ruled_lines")
@dataclass(frozen=True, kw_only=True)
class RuledLines(Degradation):
    """Writing paper: thin level lines, blue, red, grey or brown, at times squared; they are not ink."""

    spacing: Annotated[Range, Between(4, 1000)] = (24.0, 90.0)
    width: Annotated[Range, Between(0.3, 20)] = (0.7, 1.8)
    strength: Annotated[Range, Between(0, 3)] = (0.1, 0.6)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `spacing` and `width` in pixels; `strength`: optical density."""
        rng = scene.rng
        height, width = image.shape[:2]
        x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
        lean, spacing, pen = np.float32(rng.normal(0, 0.01)), draw(rng, self.spacing), draw(rng, self.width)
        lines = _comb(y + lean * x, spacing, pen, rng)
        if rng.random() < 0.2:
            lines = np.maximum(lines, _comb(x - lean * y, spacing, pen, rng))
        worn = np.clip(1 + np.float32(0.4) * smooth_field(height, width, 60, rng, 2), 0, 2)
        return absorb(image, np.float32(draw(rng, self.strength)) * lines * worn, _LINES[rng.integers(4)])


def _comb(along: Array, spacing: float, pen: float, rng: np.random.Generator) -> Array:
    phase = along / np.float32(spacing) + np.float32(rng.random())
    away = np.abs(phase - np.round(phase)) * np.float32(spacing)
    return np.asarray(np.clip(np.float32(0.5 + pen / 2) - away, 0, 1), np.float32)


def laid_lines(height: int, width: int, rng: np.random.Generator) -> Array:
    """Return how much lighter (density, small) the ribs and chain lines make each pixel."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    sway = 1.5 * smooth_field(height, width, 200, rng)
    ribs = np.sin(2 * np.pi / rng.uniform(7, 11) * (y + sway))
    chain = np.abs((x + sway) / rng.uniform(150, 240) % 1 - 0.5)
    lines = 0.007 * ribs - 0.02 * np.exp(-((chain / 0.008) ** 2))
    return np.asarray(lines * (1 + 0.4 * smooth_field(height, width, 120, rng)), np.float32)
