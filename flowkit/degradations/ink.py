"""Pale or worn ink: its values move towards those of the surrounding paper; its place does not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from flowkit.degradations.base import Between, Degradation, Range, Scene, draw, paper_around
from flowkit.degradations.texture import Array, blur, smooth_field, smoothstep
from flowkit.registry import register

Share = Annotated[Range, Between(0, 0.95)]


@register("fade")
@dataclass(frozen=True, kw_only=True)
class Fade(Degradation):
    """Pale ink: everywhere, and more in some regions."""

    everywhere: Share = (0.0, 0.5)
    regions: Share = (0.1, 0.7)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; options are shares of its contrast that the ink loses, at most 0.88 together."""
        height, width = image.shape[:2]
        field = smooth_field(height, width, scene.rng.uniform(0.1, 0.3) * (height + width), scene.rng, 2)
        regions = np.float32(draw(scene.rng, self.regions)) * smoothstep(field, -0.5, 1.5)
        return _paled(image, np.minimum(np.float32(draw(scene.rng, self.everywhere)) + regions, 0.88), scene)


@register("worn_ink")
@dataclass(frozen=True, kw_only=True)
class WornInk(Degradation):
    """Strokes that lose ink: specks, gaps and a pen that ran dry."""

    amount: Share = (0.2, 0.8)
    share: Annotated[Range, Between(0, 1)] = (0.05, 0.35)
    cell: Annotated[Range, Between(1, 200)] = (1.5, 12.0)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `amount`: contrast lost; `share`: worn part of the strokes; `cell`: size of the gaps."""
        rng = scene.rng
        field = smooth_field(image.shape[0], image.shape[1], draw(rng, self.cell), rng, 2)
        # the field is close to normal: 1.3 * (1 - 2 s) leaves a share of about s beyond it
        edge = 1.3 * (1 - 2 * draw(rng, self.share))
        worn = np.float32(draw(rng, self.amount)) * smoothstep(field, edge - 0.4, edge + 0.4)
        return _paled(image, worn, scene)


def _paled(image: Array, lost: Array, scene: Scene) -> Array:
    """Return the image, its ink moved towards the surrounding paper by a share `lost` (H, W)."""
    if scene.ink is not None:
        # pixels beside the truth are ink as well: its soft edge
        lost = lost * np.minimum(1, 3 * blur(scene.ink.astype(np.float32), 1.2))
    away = np.maximum(paper_around(image) - image, 0)
    return np.asarray(image + away * lost[..., None], np.float32)
