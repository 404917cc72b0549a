"""Fixed orders of the channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowkit.layers.base import FlowLayer, Shape, no_log_det
from flowkit.registry import register


@register("permute")
class Permute(FlowLayer):
    """A random, fixed order of the channels: y = x[order]; log|det| = 0.

    The order travels with the weights. Kingma and Dhariwal, Glow (arXiv:1807.03039), section 3.2.

    Args:
        shape: of the input.
        seed: of the order; if not given, each layer draws its own order from torch's generator, like
            weights. Layers with the same seed have the same order.

    >>> import torch
    >>> from flowkit.layers import Permute, Shape
    >>> layer, x = Permute(Shape(5, 1), seed=3), torch.randn(1, 5, 2, 2)
    >>> torch.equal(layer(x)[0], x[:, layer.order]), torch.equal(layer.inverse(layer(x)[0])[0], x)
    (True, True)
    """

    affine = True
    order: Tensor

    def __init__(self, shape: Shape, *, seed: int | None = None) -> None:
        super().__init__(shape)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        self.register_buffer("order", torch.randperm(shape.channels, generator=generator))

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Put the channels into the order."""
        return inputs.index_select(1, self.order), no_log_det(inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Undo the order."""
        return inputs.index_select(1, torch.argsort(self.order)), no_log_det(inputs)


@register("reverse")
class Reverse(FlowLayer):
    """The reverse order of the channels: y = x[C-1, ..., 0]; log|det| = 0. Its own inverse.

    >>> import torch
    >>> from flowkit.layers import Reverse, Shape
    >>> Reverse(Shape(3, 1))(torch.arange(3.0).view(1, 3, 1, 1))[0].flatten()
    tensor([2., 1., 0.])
    """

    affine = True

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Reverse the channels."""
        return inputs.flip(1), no_log_det(inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Reverse the channels again."""
        return inputs.flip(1), no_log_det(inputs)
