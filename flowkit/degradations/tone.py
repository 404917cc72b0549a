"""Changes of the whole page by scanner, camera or copy: tone curve, contrast, colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from flowkit.degradations.base import Between, Degradation, Range, Scene, draw
from flowkit.degradations.texture import Array
from flowkit.registry import register

LUMA = np.array((0.299, 0.587, 0.114), np.float32)  # ITU-R BT.601


@register("gamma")
@dataclass(frozen=True, kw_only=True)
class Gamma(Degradation):
    """A tone curve: x ** gamma; below 1 lightens, above 1 darkens."""

    gamma: Annotated[Range, Between(0.1, 10)] = (0.65, 1.54)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply a power law; its exponent is drawn evenly in the logarithm."""
        low, high = np.log(self.gamma)
        return np.asarray(image ** np.float32(np.exp(draw(scene.rng, (low, high)))), np.float32)


@register("contrast")
@dataclass(frozen=True, kw_only=True)
class Contrast(Degradation):
    """Less or more contrast, a lighter or darker page: 0.5 + contrast * (x - 0.5) + brightness."""

    contrast: Annotated[Range, Between(0.05, 3)] = (0.6, 1.15)
    brightness: Annotated[Range, Between(-0.5, 0.5)] = (-0.12, 0.12)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply a straight line."""
        slope = draw(scene.rng, self.contrast)
        offset = 0.5 - 0.5 * slope + draw(scene.rng, self.brightness)
        return image * np.float32(slope) + np.float32(offset)


@register("tint")
@dataclass(frozen=True, kw_only=True)
class Tint(Degradation):
    """A colour cast: each channel times its own factor."""

    gain: Annotated[Range, Between(0.3, 2)] = (0.93, 1.07)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Multiply by three factors."""
        gains = [draw(scene.rng, self.gain) for _ in range(3)]
        return image * np.array(gains, np.float32)


@register("grey")
@dataclass(frozen=True, kw_only=True)
class Grey(Degradation):
    """No colour: luma (ITU-R BT.601) in all three channels."""

    def apply(self, image: Array, scene: Scene) -> Array:
        """Take the weighted mean."""
        return np.repeat(image @ LUMA[:, None], 3, axis=2)


@register("paper_tone")
@dataclass(frozen=True, kw_only=True)
class PaperTone(Degradation):
    """Aged paper: browned, so that blue suffers most and red least."""

    browning: Annotated[Range, Between(0, 2)] = (0.0, 0.5)
    yellow: Annotated[Range, Between(0, 1)] = (0.1, 0.8)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply a colour filter: density `browning`, from neutral (`yellow` 0) to amber (1)."""
        density, yellow = draw(scene.rng, self.browning), draw(scene.rng, self.yellow)
        colour = 0.6 + yellow * np.array((-0.35, 0.05, 0.9))
        return image * np.exp(-density * colour).astype(np.float32)
