"""Stains: of liquids spilt on a page, of objects that lay on it, of rust and mould."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from flowkit.degradations.base import Between, Degradation, Range, Scene, absorb, draw
from flowkit.degradations.texture import Array, smooth_field, smoothstep
from flowkit.registry import register

WATER = (0.45, 0.85, 1.35)
RUST = (0.35, 1.0, 1.6)
_BROWN = (0.6, 1.0, 1.35)
_SPILLS = np.array([WATER, RUST, (0.9, 1.0, 1.1), (0.7, 1.0, 1.2), (1.0, 1.0, 1.0)], np.float32)

Count = Annotated[tuple[int, int], Between(0, 1000)]
Size = Annotated[Range, Between(0.001, 2)]
Blotch = Callable[[Array, Array], Array]
Window = tuple[slice, slice]


@register("stain")
@dataclass(frozen=True, kw_only=True)
class Stain(Degradation):
    """Blots and washes: brown, rusty or grey, pale to as dark as ink, with soft or sharp outlines."""

    count: Count = (1, 3)
    size: Size = (0.04, 0.4)
    strength: Annotated[Range, Between(0, 4)] = (0.1, 0.9)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `size`: radius relative to the side; `strength`: optical density (ink: about 2)."""
        rng = scene.rng
        height, width = image.shape[:2]
        out = image.copy()
        for _ in range(_number(rng, self.count)):
            density = np.zeros((height, width), np.float32)
            colour = _SPILLS[rng.integers(len(_SPILLS))]
            radius = draw(rng, self.size) * np.sqrt(height * width)
            edge = rng.choice([0.08, 0.3, 0.9])
            cloud = rng.uniform(0.1, 0.35)
            depth = draw(rng, self.strength)

            def blotch(
                away: Array, shade: Array, *, depth: float = depth, edge: float = edge, cloud: float = cloud
            ) -> Array:
                inside = 1 - smoothstep(away, 1 - edge, 1 + edge / 2)
                return np.asarray(depth * inside * (1 + cloud * shade), np.float32)

            window = _spread(density, rng, radius, blotch)
            out[window] = absorb(out[window], density[window], colour)
        return out


@register("water_ring")
@dataclass(frozen=True, kw_only=True)
class WaterRing(Degradation):
    """Water that dried: a pale wash with a dark tide line at its edge."""

    count: Count = (1, 3)
    size: Size = (0.06, 0.5)
    strength: Annotated[Range, Between(0, 4)] = (0.06, 0.35)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `size`: radius relative to the page's side; `strength`: optical density of the wash."""
        rng = scene.rng
        density = np.zeros(image.shape[:2], np.float32)
        for _ in range(_number(rng, self.count)):
            water_mark(density, rng, draw(rng, self.size) * float(np.sqrt(density.size)), self.strength, 1.0)
        return absorb(image, density, WATER)


@register("foxing")
@dataclass(frozen=True, kw_only=True)
class Foxing(Degradation):
    """Rusty spots, many and small."""

    count: Count = (3, 40)
    radius: Annotated[Range, Between(0.5, 100)] = (1.5, 9.0)
    strength: Annotated[Range, Between(0, 4)] = (0.08, 0.6)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `radius` in pixels; `strength`: optical density of their middle."""
        rng = scene.rng
        density = np.zeros(image.shape[:2], np.float32)
        for _ in range(_number(rng, self.count)):
            spot(density, rng, draw(rng, self.radius), self.strength)
        return absorb(image, density, RUST if rng.random() < 0.5 else _BROWN)


@register("panel")
@dataclass(frozen=True, kw_only=True)
class Panel(Degradation):
    """A darker rectangle with sharp edges: what lay on the page for years, or a pasted slip."""

    strength: Annotated[Range, Between(0, 2)] = (0.05, 0.5)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `strength`: optical density."""
        rng = scene.rng
        height, width = image.shape[:2]
        top, bottom = np.sort(rng.uniform(-0.3, 1.3, 2)) * height
        left, right = np.sort(rng.uniform(-0.3, 1.3, 2)) * width
        lean = rng.normal(0, 0.02)
        x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
        edge = rng.uniform(0.7, 2.5)
        sides = (x + lean * y - left, right - x - lean * y, y - lean * x - top, bottom - y + lean * x)
        inside = np.clip(np.minimum.reduce(np.broadcast_arrays(*sides)) / edge, 0, 1).astype(np.float32)
        shade = 1 + 0.15 * smooth_field(height, width, 0.2 * (height + width), rng, 2)
        return absorb(
            image, draw(rng, self.strength) * inside * shade, _SPILLS[rng.integers(2, len(_SPILLS))]
        )


def water_mark(
    density: Array, rng: np.random.Generator, radius: float, strength: Range, ringed: float = 0.7
) -> None:
    """Add one blotch to `density`; its outline wanders, and a share `ringed` dries with a dark line."""

    def blotch(away: Array, shade: Array) -> Array:
        depth = rng.uniform(*strength)
        if rng.random() < ringed:
            inside = 1 - smoothstep(away, 0.98, 1.02)
            # a tide line: sharp outside, fading inwards
            line = inside * np.exp(-np.maximum(1 - away, 0) / rng.uniform(0.02, 0.06))
            mark: Array = np.asarray(depth * (0.6 * inside + rng.uniform(0.6, 1.6) * line), np.float32)
        else:
            mark = np.asarray(1.6 * depth * (1 - smoothstep(away, 0.2, 1.25)), np.float32)
        return np.asarray(mark * (1 + 0.2 * shade), np.float32)

    _spread(density, rng, radius, blotch)


def _spread(density: Array, rng: np.random.Generator, radius: float, blotch: Blotch) -> Window:
    """Add `blotch(away, shade)` somewhere, and return where.

    `away` is 1 on a wandering outline, `shade` a cloudy field.
    """
    height, width = density.shape
    cx, cy = rng.uniform(-0.05, 1.05) * width, rng.uniform(-0.05, 1.05) * height
    x0, x1 = (int(np.clip(cx + side * 1.9 * radius, 0, width)) for side in (-1, 1))
    y0, y1 = (int(np.clip(cy + side * 1.9 * radius, 0, height)) for side in (-1, 1))
    if x1 <= x0 or y1 <= y0:
        return slice(0, 0), slice(0, 0)
    shape = (y1 - y0, x1 - x0)
    x, y = np.arange(x0, x1, dtype=np.float32) - cx, (np.arange(y0, y1, dtype=np.float32) - cy)[:, None]
    stretch = rng.uniform(0.7, 1.4)
    away = np.hypot(x * stretch, y / stretch) / radius + 0.16 * smooth_field(*shape, 0.7 * radius, rng, 4)
    shade = smooth_field(*shape, 0.3 * radius, rng, 3)
    density[y0:y1, x0:x1] += np.maximum(blotch(np.asarray(away, np.float32), shade), 0)
    return slice(y0, y1), slice(x0, x1)


def spot(density: Array, rng: np.random.Generator, radius: float, strength: Range) -> None:
    """Add one small soft spot to `density`."""
    height, width = density.shape
    cx, cy, reach = rng.uniform(0, width), rng.uniform(0, height), 3 * radius
    x = np.arange(max(0, int(cx - reach)), min(width, int(cx + reach) + 1), dtype=np.float32)
    y = np.arange(max(0, int(cy - reach)), min(height, int(cy + reach) + 1), dtype=np.float32)
    away = np.hypot(x - cx, y[:, None] - cy) / radius
    away = away + 0.2 * smooth_field(len(y), len(x), max(1.0, radius), rng)
    density[int(y[0]) : int(y[-1]) + 1, int(x[0]) : int(x[-1]) + 1] += rng.uniform(*strength) * np.exp(
        -(away**2)
    )


def _number(rng: np.random.Generator, count: tuple[int, int]) -> int:
    return int(rng.integers(count[0], count[1] + 1))
