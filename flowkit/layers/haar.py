"""The Haar squeeze: space to depth, sorted by frequency."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.layers.base import FlowLayer, Shape, no_log_det
from flowkit.registry import register


@register("haar")
class Haar(FlowLayer):
    """The orthonormal 2x2 Haar wavelet: (B, C, H, W) -> (B, 4 C, H/2, W/2); log|det| = 0.

    A block [[a, b], [c, d]] of a channel becomes

        average     (a + b + c + d) / 2
        horizontal  (a - b + c - d) / 2     how it changes from left to right
        vertical    (a + b - c - d) / 2     from top to bottom
        diagonal    (a - b - c + d) / 2

    Channel order (band, C): the averages of all channels first, then all horizontal details, and so on. So
    the half that a split keeps, or a coupling reads, is the coarse one. H and W must be even. Ardizzone et
    al., Guided Image Generation with Conditional INNs (arXiv:1907.02392).

    >>> import torch
    >>> from flowkit.layers import Haar, Shape
    >>> layer = Haar(Shape(1, 1))
    >>> layer(torch.ones(1, 1, 2, 2))[0].flatten()  # the mean's band, and three without detail
    tensor([2., 0., 0., 0.])
    >>> layer.out_shape
    Shape(channels=4, stride=2)
    """

    example_options: ClassVar = {"size": (4, 6)}

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.out_shape = Shape(4 * shape.channels, 2 * shape.stride)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Transform pixels to bands.

        Raises:
            ShapeError: H or W is odd.
        """
        if inputs.shape[2] % 2 or inputs.shape[3] % 2:
            raise ShapeError(f"haar: H and W must be even, got {tuple(inputs.shape)}")
        pixels = (F.pixel_unshuffle(inputs, 2)[:, i::4] for i in range(4))
        return torch.cat(_transform(*pixels), dim=1), no_log_det(inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Transform bands to pixels."""
        pixels = torch.stack(_transform(*inputs.chunk(4, dim=1)), dim=2)
        return F.pixel_shuffle(pixels.flatten(1, 2), 2), no_log_det(inputs)


def _transform(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Transform pixels to bands, or bands to pixels: the matrix is symmetric and orthogonal."""
    upper, lower = a + b, c + d
    left, right = a - b, c - d
    return (upper + lower) / 2, (left + right) / 2, (upper - lower) / 2, (left - right) / 2
