"""The affine injector: an affine map of all channels that depends on the image alone."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from flowkit.layers.base import Shape
from flowkit.layers.network import ConditionalNetwork, Conditioned, Network
from flowkit.layers.saved_hidden import Noted
from flowkit.ops import affine, affine_packed, log_scale
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

    >>> import torch
    >>> from flowkit.layers import AffineInjector, Shape
    >>> layer = AffineInjector(Shape(4, 2), Shape(8, 2), hidden=16)
    >>> x, features = torch.randn(2, 4, 6, 5), torch.randn(2, 8, 6, 5)
    >>> z, log_det = layer(x, features)
    >>> bool(torch.allclose(layer.inverse(z, features)[0], x, atol=1e-5))
    True
    """

    pointwise = True
    example_options: ClassVar = {"hidden": 4}

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

    def complete(self, projected: Tensor | Noted) -> tuple[Tensor, ...]:
        """Compute [shift | raw scale] (B, 2 C, h, w); without gradients, shift and log-scale."""
        parameters = self.network(projected)
        if self.training or torch.is_grad_enabled():
            return (parameters,)
        shift, raw = parameters.chunk(2, dim=1)
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))  # autocast may have lowered its precision
        return shift, log_scale(raw, self.scale, self.eps)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Shift, then scale."""
        return self._run(inputs, context, inverse=False)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Undo the scale, then the shift."""
        return self._run(inputs, context, inverse=True)

    def _run(self, inputs: Tensor, context: Any, *, inverse: bool) -> tuple[Tensor, Tensor]:
        if len(context) == 1:
            return affine_packed(inputs, *context, scale=self.scale, eps=self.eps, inverse=inverse)
        return affine(inputs, *context, scale="exp", inverse=inverse)
