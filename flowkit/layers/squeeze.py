"""Space to depth: the first layer of a level."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.layers.base import FlowLayer, Shape, no_log_det
from flowkit.registry import register


@register("squeeze")
class Squeeze(FlowLayer):
    """Trade resolution for channels: (B, C, H, W) -> (B, C f^2, H/f, W/f); log|det| = 0.

    Channel order (C, dy, dx), as `pixel_unshuffle`, nflows, normflows and SRFlow. Dinh et al., RealNVP
    (arXiv:1605.08803). H and W must be multiples of the factor f.

    Raises:
        ShapeError: the factor is less than 2.

    >>> import torch
    >>> from flowkit.layers import Shape, Squeeze
    >>> layer = Squeeze(Shape(3, 1))
    >>> layer(torch.randn(2, 3, 8, 6))[0].shape, layer.out_shape
    (torch.Size([2, 12, 4, 3]), Shape(channels=12, stride=2))
    """

    example_options: ClassVar = {"size": (4, 6)}

    def __init__(self, shape: Shape, *, factor: int = 2) -> None:
        super().__init__(shape)
        if factor < 2:
            raise ShapeError(f"factor must be 2 or more, got {factor}")
        self.factor = factor
        self.out_shape = Shape(shape.channels * factor**2, shape.stride * factor)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Unshuffle f x f pixels into channels.

        Raises:
            ShapeError: H or W is no multiple of the factor.
        """
        if inputs.shape[2] % self.factor or inputs.shape[3] % self.factor:
            raise ShapeError(
                f"squeeze: H and W must be multiples of {self.factor}, got {tuple(inputs.shape)}"
            )
        if torch.compiler.is_exporting():  # of strides that it does not know, torch would refuse a batch of 1
            inputs = inputs.clone(memory_format=torch.contiguous_format)
        return F.pixel_unshuffle(inputs, self.factor), no_log_det(inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Shuffle channels back into pixels."""
        return F.pixel_shuffle(inputs, self.factor), no_log_det(inputs)

    def extra_repr(self) -> str:
        """Return the factor, for `print(model)`."""
        return f"factor={self.factor}"
