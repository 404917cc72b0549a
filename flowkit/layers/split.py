"""The split: half of the channels leave the flow between two levels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flowkit.errors import ShapeError
from flowkit.layers.base import FlowLayer, Shape, make_example
from flowkit.ops import affine
from flowkit.ops.scale import Scale
from flowkit.registry import register


@register("split")
class Split(FlowLayer):
    """[x1 | x2] -> [x1 | e], e = (x2 + shift(x1)) * s(x1); x1 goes on, e leaves as a latent.

    That is a learned Gaussian prior p(x2 | x1) written as a bijection: e is standard normal under it, and
    log|det| = sum log s(x1). x1 is the first floor(C/2) channels, as in Glow (arXiv:1807.03039) and SRFlow.

    Args:
        shape: of the input; two channels or more.
        scale: the scale map, see `flowkit.ops.log_scale`.
    """

    reach = 1

    def __init__(self, shape: Shape, *, scale: Scale = "soft") -> None:
        super().__init__(shape)
        if shape.channels < 2:
            raise ShapeError(f"a split needs 2 channels or more, got {shape.channels}")
        kept = shape.channels // 2
        self.scale = scale
        self.latent_channels = shape.channels - kept
        self.out_shape = Shape(kept, shape.stride)
        self.prior = nn.Conv2d(kept, 2 * self.latent_channels, 3, padding=1)
        nn.init.zeros_(self.prior.weight)
        if self.prior.bias is not None:
            nn.init.zeros_(self.prior.bias)

    @classmethod
    def example(cls, generator: torch.Generator) -> tuple[FlowLayer, Tensor, Tensor | None]:
        """See `FlowLayer.example`."""
        return make_example(cls, generator)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Standardise the part that leaves."""
        return self._apply_to_second(inputs, inverse=False)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Draw the part that left from the kept one."""
        return self._apply_to_second(inputs, inverse=True)

    def _apply_to_second(self, inputs: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        kept = self.out_shape.channels
        first, second = inputs[:, :kept], inputs[:, kept:]
        shift, raw = self.prior(first).chunk(2, dim=1)
        second, log_det = affine(second, shift, raw, scale=self.scale, inverse=inverse)
        return torch.cat([first, second], dim=1), log_det
