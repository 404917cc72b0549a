"""Toy images for the examples that are not about documents: digits, and landscapes."""

import numpy as np
import torch
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

FACES = [
    f"DejaVu {name}:{style}"
    for name in ("Sans", "Serif", "Sans Mono")
    for style in ("book", "bold", "oblique")
]


def digits(rng: np.random.Generator, count: int, side: int) -> tuple[Tensor, Tensor]:
    """Draw digits in many fonts, sizes and slants: (count, 1, side, side) of 0 and 1, and their classes."""
    fonts = [ImageFont.truetype(font_manager.findfont(face), 3 * side) for face in FACES]
    classes = rng.integers(10, size=count)
    images = []
    for digit in classes:
        large = Image.new("L", (4 * side, 4 * side))
        font = fonts[rng.integers(len(fonts))]
        ImageDraw.Draw(large).text((2 * side, 2 * side), str(digit), 255, font, anchor="mm")
        map_ = rng.uniform(0.85, 1.25) * np.eye(2) + rng.normal(0, 0.1, (2, 2))
        shift = 2 * side * (1 - map_.sum(1))  # the middle stays
        affine = np.column_stack([map_, shift]).ravel()
        turned = large.transform(large.size, Image.Transform.AFFINE, tuple(affine))
        images.append(np.asarray(turned.resize((side, side), Image.Resampling.BOX)) > 110)
    return torch.from_numpy(np.stack(images)[:, None]).float(), torch.from_numpy(classes)


def landscapes(rng: np.random.Generator, count: int, side: int) -> Tensor:
    """Draw a sky, a sun or moon, and two hills, each of any hue: (count, 3, side, side) in [0, 1]."""
    images = []
    for _ in range(count):
        large = Image.new("RGB", (4 * side, 4 * side), _colour(rng, 0.75))
        pen = ImageDraw.Draw(large)
        x, y, radius = rng.uniform((0.2, 0.15, 0.1), (0.8, 0.45, 0.22)) * 4 * side
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), _colour(rng, 0.95))
        for level, light in ((0.55, 0.5), (0.75, 0.3)):
            heights = 4 * side * (level + rng.uniform(-0.15, 0.15, 3))
            ridge = [(0, heights[0]), (rng.uniform(0.3, 0.7) * 4 * side, heights[1]), (4 * side, heights[2])]
            pen.polygon([*ridge, (4 * side, 4 * side), (0, 4 * side)], _colour(rng, light))
        images.append(np.asarray(large.resize((side, side), Image.Resampling.BOX)))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255


def _colour(rng: np.random.Generator, light: float) -> tuple[int, int, int]:
    """Return a colour of this luma and of any hue."""
    return Image.new("YCbCr", (1, 1), (int(255 * light), *_chroma(rng))).convert("RGB").getpixel((0, 0))


def _chroma(rng: np.random.Generator) -> tuple[int, int]:
    angle = rng.uniform(0, 2 * np.pi)
    return int(128 + 45 * np.cos(angle)), int(128 + 45 * np.sin(angle))
