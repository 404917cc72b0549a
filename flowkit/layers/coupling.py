"""The conditional affine coupling: one half of the channels decides, with the image, the map of the other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.layers.base import FlowLayer, Shape
from flowkit.layers.network import AffineNetwork
from flowkit.ops import affine
from flowkit.ops.scale import Scale
from flowkit.registry import register


@register("affine_coupling")
class AffineCoupling(FlowLayer):
    """[x1 | x2] -> [x1 | (x2 + shift(x1, u)) * s(x1, u)]; log|det| = sum log s(x1, u).

    x1 is the first floor(C/2) channels. The part of the network that reads only the features u is computed
    once, in `condition`. Dinh et al., RealNVP (arXiv:1605.08803); conditional as in SRFlow
    (arXiv:2006.14200).

    Args:
        shape: of the input; two channels or more.
        context: of the features.
        hidden: channels inside the conditioning network.
        kernel: size of its convolutions of x1 and of its last one.
        context_kernel: size of its convolution of the features; `kernel` if not given.
        scale: the scale map, see `flowkit.ops.log_scale`.
        eps: added to the scale; SRFlow has 1e-4 with `sigmoid`.
    """

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        hidden: int = 64,
        kernel: int = 3,
        context_kernel: int | None = None,
        scale: Scale = "soft",
        eps: float = 0.0,
    ) -> None:
        super().__init__(shape, context)
        if shape.channels < 2:
            raise ShapeError(f"a coupling needs 2 channels or more, got {shape.channels}")
        self.kept = shape.channels // 2
        self.scale = scale
        self.eps = eps
        self.network = AffineNetwork(
            self.kept,
            context.channels,
            shape.channels - self.kept,
            hidden=hidden,
            kernel=kernel,
            context_kernel=kernel if context_kernel is None else context_kernel,
        )
        self.reach = self.network.reach

    def condition(self, features: Tensor) -> tuple[Tensor]:
        """The image's part of the network's first convolution (B, hidden, h, w)."""
        return (self.network.condition(features),)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map the second part."""
        return self._apply_to_second(inputs, context, inverse=False)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map the second part back: the first, unchanged, says how."""
        return self._apply_to_second(inputs, context, inverse=True)

    def _apply_to_second(self, inputs: Tensor, context: Any, *, inverse: bool) -> tuple[Tensor, Tensor]:
        first, second = inputs[:, : self.kept], inputs[:, self.kept :]
        shift, raw = self.network(*context, first)
        second, log_det = affine(second, shift, raw, scale=self.scale, eps=self.eps, inverse=inverse)
        return torch.cat([first, second], dim=1), log_det
