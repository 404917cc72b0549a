"""Paper without writing, drawn or taken from a page; and ink that is moved to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from flowkit.degradations.base import Between, Degradation, Mask, Range, Scene, absorb, draw, paper_around
from flowkit.degradations.paper import YELLOWING, laid_lines
from flowkit.degradations.texture import Array, blur, smooth_field, smoothstep
from flowkit.registry import register

# per channel: the light that aged paper reflects
_PAPERS = np.array(
    [(0.93, 0.89, 0.80), (0.90, 0.84, 0.71), (0.94, 0.92, 0.86), (0.86, 0.79, 0.66)], np.float32
)


@register("other_paper")
@dataclass(frozen=True, kw_only=True)
class OtherPaper(Degradation):
    """The ink of this page on the paper of another: its tone, its stains, what shines through it."""

    density: Annotated[Range, Between(0, 4)] = (0.4, 1.3)

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply it; `density`: the ink's optical density, relative to its own."""
        if scene.ink is None:
            own, share = paper_around(image), np.ones((1, 1, 1), np.float32)
        else:
            own, share = without_ink(image, scene.ink, scene.rng), _near(scene.ink)[..., None]
        passes = np.clip(image / np.maximum(own, 0.03), 0.02, 1) ** np.float32(draw(scene.rng, self.density))
        shape = (image.shape[0], image.shape[1])
        sheet = paper(shape, scene.rng) if scene.paper is None else scene.paper()
        return np.asarray(sheet * (1 - share * (1 - passes)), np.float32)


def without_ink(image: Array, ink: Mask, rng: np.random.Generator) -> Array:
    """Return the paper of a page, (H, W, 3) in [0, 1]: its surroundings continue under the ink, with grain.

    `ink`, bool (H, W), is where the writing is; other dark places are the paper's own, and stay. The grain
    under the ink is taken from other places, drawn from `rng`.
    """
    known = 1 - _near(ink)
    # The nearest paper counts; where there is none, paper farther away.
    filled = np.zeros_like(image)
    missing = np.ones_like(known)
    for sigma in (2.5, 8, 30, 120):
        weight = blur(known, sigma)
        share = missing * np.minimum(1, weight / np.float32(0.08))
        filled += (share / np.maximum(weight, 1e-4))[..., None] * blur(image * known[..., None], sigma)
        missing = missing - share
    filled += missing[..., None] * np.median(image.reshape(-1, 3), axis=0)
    known = known[..., None]
    grain = np.clip((image - filled) * known, -0.06, 0.06)
    moved = np.roll(grain, [int(rng.integers(n)) for n in ink.shape], axis=(0, 1))
    return np.asarray(np.clip(image * known + (filled + moved) * (1 - known), 0, 1), np.float32)


def paper(shape: tuple[int, int], rng: np.random.Generator, strength: float = 1.0) -> Array:
    """Draw empty paper of `shape` (H, W): colour, yellowing, darker edges, pulp, fibres, laid lines."""
    height, width = shape
    colour = _PAPERS[rng.integers(len(_PAPERS))] + rng.normal(0, 0.015) * np.array(YELLOWING, np.float32)
    slow = smooth_field(height, width, 0.35 * (height + width), rng, 2)
    pulp = smooth_field(height, width, 14, rng, 3)
    fibre = smooth_field(height, width, 2.2, rng)
    grain = 0.030 * slow + 0.011 * pulp + 0.014 * fibre
    if rng.random() < 0.6:
        grain += laid_lines(height, width, rng)
    density = strength * (_edge_tone(height, width, rng) - grain)
    return np.clip(absorb(colour, density, YELLOWING), 0, 1)


def _near(ink: Mask) -> Array:
    """Return (H, W): 1 on ink and its soft edge of a pixel or two, 0 beyond four pixels."""
    return smoothstep(blur(ink.astype(np.float32), 1.6), 0.01, 0.12)


def _edge_tone(height: int, width: int, rng: np.random.Generator) -> Array:
    """Return the density of the browning by air and hands along the edges of a leaf."""
    reach = 0.05 * (height + width) / 2 + 1
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    away = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
    away = away * (1 + 0.25 * smooth_field(height, width, reach * 2, rng, 3))
    return np.asarray(rng.uniform(0.08, 0.22) * np.exp(-np.maximum(away, 0) / reach), np.float32)
