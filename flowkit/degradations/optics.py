"""Blur of the lens, and compression of the file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from PIL import Image

from flowkit.degradations.base import Between, Degradation, Range, Scene, draw
from flowkit.degradations.texture import Array, blur, to_uint8
from flowkit.registry import register


@register("defocus")
@dataclass(frozen=True, kw_only=True)
class Defocus(Degradation):
    """Out of focus: a Gaussian blur."""

    sigma: Annotated[Range, Between(0, 50)] = (0.3, 1.5)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `sigma` in pixels."""
        return blur(image, draw(scene.rng, self.sigma))


@register("motion_blur")
@dataclass(frozen=True, kw_only=True)
class MotionBlur(Degradation):
    """The camera moved: the mean along a short line, to both sides alike."""

    length: Annotated[Range, Between(0, 50)] = (1.5, 5.0)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `length` of the line in pixels; any direction."""
        angle, half = scene.rng.uniform(0, np.pi), draw(scene.rng, self.length) / 2
        margin = int(np.ceil(half))
        steps = np.linspace(-half, half, 2 * margin + 1)
        places = np.round(np.outer(steps, (np.sin(angle), np.cos(angle)))).astype(int) + margin
        height, width = image.shape[:2]
        padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
        total = np.zeros_like(image)
        for y, x in places:
            total += padded[y : y + height, x : x + width]
        return total / np.float32(len(places))


@register("jpeg")
@dataclass(frozen=True, kw_only=True)
class Jpeg(Degradation):
    """Through a JPEG file and back."""

    quality: Annotated[Range, Between(1, 100)] = (30, 90)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `quality` as Pillow counts it, 1 to 100."""
        file = io.BytesIO()
        Image.fromarray(to_uint8(image)).save(file, "JPEG", quality=int(draw(scene.rng, self.quality)))
        return np.asarray(Image.open(file), np.float32) / np.float32(255)
