"""Smooth random fields and a Gaussian blur, for paper, stains, fading and light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]


def smooth_field(height: int, width: int, cell: float, rng: np.random.Generator, octaves: int = 1) -> Array:
    """Draw a random field (height, width), float32, of mean about 0 and standard deviation about 1.

    It varies over `cell` pixels; each further octave adds half the amplitude at half the cell. A grid of
    normal random numbers is enlarged with a bicubic filter, at a random offset, so that no grid is visible.
    """
    total = np.zeros((height, width), np.float32)
    power = 0.0
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        rows, columns = int(np.ceil(height / size)) + 4, int(np.ceil(width / size)) + 4
        grid = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
        x, y = 1 + rng.random(), 1 + rng.random()
        box = (x, y, x + width / size, y + height / size)
        layer = grid.resize((width, height), Image.Resampling.BICUBIC, box=box)
        total += 0.5**octave * np.asarray(layer, np.float32)
        power += 0.25**octave
    # the enlarged normal grid has a variance of about 0.6
    return total / np.float32(np.sqrt(0.6 * power))


def blur(image: Array, sigma: float) -> Array:
    """Blur (H, W) or (H, W, C) by a Gaussian over the first two axes, `sigma` in pixels; edges are repeated.

    Beyond 4 pixels, a smaller copy is blurred, which makes no difference for a Gaussian that wide.
    """
    if sigma <= 0.05:
        return image
    factor = int(sigma // 2) if sigma > 4 else 1
    if factor > 1:
        height, width = image.shape[:2]
        small = (max(1, width // factor), max(1, height // factor))
        return resized(blur(resized(image, small), sigma / factor), (width, height))
    radius = int(np.ceil(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).astype(np.float32)
    taps /= taps.sum()
    for axis in (0, 1):
        pad = [(0, 0)] * image.ndim
        pad[axis] = (radius, radius)
        padded = np.pad(image, pad, mode="edge")
        length = image.shape[axis]
        view = np.moveaxis(padded, axis, 0)
        total = np.zeros_like(view[:length])
        for shift, tap in enumerate(taps):
            total += tap * view[shift : shift + length]
        image = np.moveaxis(total, 0, axis)
    return image


def resized(image: Array, size: tuple[int, int]) -> Array:
    """Resize (H, W) or (H, W, C) to `size` = (width, height): bicubic, averaging where it shrinks."""
    if image.ndim == 3:
        return np.stack([resized(channel, size) for channel in np.moveaxis(image, 2, 0)], axis=2)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC), np.float32)


def smoothstep(x: Array, low: float, high: float) -> Array:
    """Return 0 below `low`, 1 above `high`, and the cubic 3t^2 - 2t^3 between them."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def to_uint8(page: Array) -> NDArray[np.uint8]:
    """Round values in [0, 1] to 0 to 255."""
    return np.round(np.clip(page, 0, 1) * 255).astype(np.uint8)
