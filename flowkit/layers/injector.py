"""The affine injector: an affine map of all channels, decided by the image alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowkit.layers.base import FlowLayer, Shape, make_example
from flowkit.layers.network import ConditionalNetwork, Conditioned, Network
from flowkit.ops import affine_packed
from flowkit.ops.scale import Scale, check_eps
from flowkit.registry import register


@register("affine_injector")
class AffineInjector(Conditioned):
    """y = (x + shift(u)) * s(u) for features u; log|det| = sum log s(u).

    Shift and scale read nothing but the image, so `condition` computes both, once. Lugmayr et al., SRFlow,
    section 3.3 (arXiv:2006.14200).

    Args:
        shape: of the input.
        context: of the features.
        hidden: channels inside the conditioning network.
        kernel: size of its first and last convolution.
        scale: the scale map, see `flowkit.ops.log_scale`.
        eps: added to the scale; SRFlow has 1e-4 with `sigmoid`.
        network: `plain`, or `srflow`, as in its code, see `ConditionalNetwork`.
    """

    pointwise = True

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        hidden: int = 64,
        kernel: int = 3,
        scale: Scale = "soft",
        eps: float = 0.0,
        network: Network = "plain",
    ) -> None:
        super().__init__(shape, context)
        self.scale = scale
        self.eps = check_eps(eps)
        self.network = ConditionalNetwork(
            0,
            context.channels,
            2 * shape.channels,
            hidden=hidden,
            kernel=kernel,
            context_kernel=kernel,
            network=network,
        )
        self.reach = self.network.reach

    @classmethod
    def example(cls, generator: torch.Generator) -> tuple[FlowLayer, Tensor, Tensor | None]:
        """See `FlowLayer.example`."""
        return make_example(cls, generator, hidden=4)

    def complete(self, projected: Tensor) -> tuple[Tensor]:
        """[shift | raw scale] (B, 2 C, h, w)."""
        return (self.network(projected),)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Shift, then scale."""
        return affine_packed(inputs, *context, scale=self.scale, eps=self.eps)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Unscale, then unshift."""
        return affine_packed(inputs, *context, scale=self.scale, eps=self.eps, inverse=True)
