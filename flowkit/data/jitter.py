"""Cheap variations of a training patch: light, colour, noise, and another page that shines through.

Images are float32 (H, W, 3) in [0, 1]; the ink does not move.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter


def jitter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary gamma, contrast, tint, uneven light, colour (none, for three in ten), and sensor noise."""
    image = np.clip(image, 1e-3, 1) ** np.float32(np.exp(rng.normal(0, 0.25)))
    image = 0.5 + (image - 0.5) * rng.uniform(0.6, 1.15) + rng.uniform(-0.12, 0.12)
    image = image * rng.uniform(0.93, 1.07, 3)
    if rng.random() < 0.3:
        image = np.repeat(image @ np.array([[0.299], [0.587], [0.114]]), 3, axis=2)
    down, across = (np.linspace(-0.5, 0.5, n) for n in image.shape[:2])
    slope = rng.normal(0, 0.15, 2)
    image = image * (1 + slope[0] * down[:, None, None] + slope[1] * across[None, :, None])
    image = image + rng.normal(0, rng.uniform(0, 0.03), image.shape)
    return np.asarray(np.clip(image, 0, 1), np.float32)


def show_through(image: np.ndarray, verso: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Let another page's ink shine through the paper: mirrored, blurred, faint."""
    ink = 1 - verso.mean(axis=2)[:, ::-1] / max(float(np.quantile(verso, 0.9)), 1e-3)
    grey = Image.fromarray((255 * np.clip(ink, 0, 1)).astype(np.uint8))
    blurred = grey.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3)))
    veil = np.asarray(blurred, np.float32)[:, :, None] / 255
    return (image * (1 - rng.uniform(0.1, 0.55) * veil)).astype(np.float32)
