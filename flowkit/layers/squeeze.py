"""Space to depth: the first layer of a level."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.layers.base import FlowLayer, Shape, make_example, no_log_det
from flowkit.registry import register


@register("squeeze")
class Squeeze(FlowLayer):
    """Trade resolution for channels: (B, C, H, W) -> (B, C f^2, H/f, W/f); log|det| = 0.

    Channel order (C, dy, dx), as `pixel_unshuffle`, nflows, normflows and SRFlow. Dinh et al., RealNVP
    (arXiv:1605.08803). H and W must be multiples of the factor f.
    """

    def __init__(self, shape: Shape, *, factor: int = 2) -> None:
        super().__init__(shape)
        if factor < 2:
            raise ShapeError(f"factor must be 2 or more, got {factor}")
        self.factor = factor
        self.out_shape = Shape(shape.channels * factor**2, shape.stride * factor)

    @classmethod
    def example(cls, generator: torch.Generator) -> tuple[FlowLayer, Tensor, Tensor | None]:
        """Make an example for the tests; see `FlowLayer.example`."""
        return make_example(cls, generator, size=(4, 6))

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Unshuffle f x f pixels into channels."""
        if inputs.shape[2] % self.factor or inputs.shape[3] % self.factor:
            raise ShapeError(
                f"squeeze: H and W must be multiples of {self.factor}, got {tuple(inputs.shape)}"
            )
        return F.pixel_unshuffle(inputs, self.factor), no_log_det(inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Shuffle channels back into pixels."""
        return F.pixel_shuffle(inputs, self.factor), no_log_det(inputs)

    def extra_repr(self) -> str:
        """Return the factor, for `print(model)`."""
        return f"factor={self.factor}"
