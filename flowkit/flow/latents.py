"""Latents of a flow: standard normal numbers times a temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def draw_latents(
    shapes: Sequence[tuple[int, int, int]],
    image: Tensor,
    temperature: float,
    generator: torch.Generator | None,
) -> list[Tensor]:
    """z ~ N(0, temperature^2), (B, C, h, w) for each shape: one sample of every image of a batch."""
    device = generator.device if generator is not None else image.device
    return [
        temperature
        * torch.randn((image.shape[0], *shape), generator=generator, dtype=image.dtype, device=device).to(
            image.device
        )
        for shape in shapes
    ]


def check_drawing(n: int, temperature: float) -> None:
    """Refuse what cannot be drawn.

    Raises:
        ValueError: no samples, or a temperature that is negative, infinite or NaN.
    """
    if n < 1:
        raise ValueError(f"n must be 1 or more, got {n}")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be 0 or more and finite, got {temperature}")
