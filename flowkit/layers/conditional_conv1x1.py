"""A 1x1 convolution whose matrix depends on the image."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from flowkit.errors import ShapeError
from flowkit.layers.base import FlowLayer, Shape
from flowkit.ops import log_scale
from flowkit.registry import register


@register("conditional_conv1x1")
class ConditionalConv1x1(FlowLayer):
    """A mixing of channels, one matrix per image: y = W(u) x at every cell; log|det| = H W sum log d(u).

        W(u) = R L(u) diag(d(u)) V(u),   [L | log d | V] = O relu(A mean(u))

    R = (I - S)^-1 (I + S) for a learned skew matrix S is a rotation, random at first; L and V are unit lower
    and upper triangular, d is positive. Entries of L and V off the diagonal are softly clamped to (-1/C, 1/C)
    and log d to (-2, 2), so that W is invertible for every image and every network, with a condition number
    below (2 e)^2 e^4 = 1614. An untrained layer is a random rotation. After the conditional 1x1 convolution
    of Lu and Huang, Structured Output Learning with Conditional Generative Flows (arXiv:1905.13288).

    `condition` takes the mean of the features over the WHOLE image: a tile of a page would get another matrix
    than the page, however wide the tile's margin is. Use the layer for images that are processed in one
    piece.

    Args:
        shape: of the input.
        context: of the features.
        hidden: width of the network that makes the matrix.

    Attributes:
        whole_image: True: an output depends on features at any distance.

    Raises:
        ShapeError: `hidden` is not positive.

    >>> import torch
    >>> from flowkit.layers import ConditionalConv1x1, Shape
    >>> layer = ConditionalConv1x1(Shape(4, 2), Shape(8, 2), hidden=16)
    >>> W, inverse, log_det = layer.condition(torch.randn(2, 8, 6, 5))
    >>> W.shape, layer(torch.randn(2, 4, 6, 5), (W, inverse, log_det))[0].shape
    (torch.Size([2, 4, 4]), torch.Size([2, 4, 6, 5]))
    """

    whole_image = True
    example_options: ClassVar = {"hidden": 4}

    def __init__(self, shape: Shape, context: Shape, *, hidden: int = 64) -> None:
        super().__init__(shape, context)
        if hidden < 1:
            raise ShapeError(f"hidden must be positive, got {hidden}")
        channels = shape.channels
        # The product is orthogonal in any precision, unlike a rotation that was stored in float32.
        self.skew = nn.Parameter(torch.randn(channels, channels) / math.sqrt(channels))
        self.on_context = nn.Linear(context.channels, hidden)
        self.out = nn.Linear(hidden, channels * channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def condition(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute W and its inverse (B, C, C), and log|det W| (B,), in float64."""
        raw = self.out(torch.relu(self.on_context(features.mean(dim=(2, 3))))).double()
        channels = self.shape.channels
        raw = raw.reshape(-1, channels, channels)
        log_diagonal = log_scale(raw.diagonal(dim1=1, dim2=2))
        entries = raw / (1 + channels * raw.abs())
        one = torch.eye(channels, dtype=raw.dtype, device=raw.device)
        lower, upper = entries.tril(-1) + one, entries.triu(1) + one
        diagonal = torch.exp(log_diagonal)[:, :, None]
        rotation = self._rotation()
        weight = rotation @ lower @ (diagonal * upper)
        solve = torch.linalg.solve_triangular
        inner = solve(lower, rotation.mT.expand_as(lower), upper=False, unitriangular=True)
        inverse = solve(upper, inner / diagonal, upper=True, unitriangular=True)
        return weight, inverse, log_diagonal.sum(1)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Mix the channels by W(u)."""
        weight, _, log_det = context
        return self._mix(inputs, weight), self._spread(log_det, inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Mix the channels by W(u)^-1."""
        _, inverse, log_det = context
        return self._mix(inputs, inverse), -self._spread(log_det, inputs)

    def _rotation(self) -> Tensor:
        skew = (self.skew - self.skew.T).double()
        one = torch.eye(len(skew), dtype=skew.dtype, device=skew.device)
        rotation: Tensor = torch.linalg.solve(one - skew, one + skew)
        return rotation

    @staticmethod
    def _mix(inputs: Tensor, weight: Tensor) -> Tensor:
        return torch.bmm(weight.to(inputs.dtype), inputs.flatten(2)).reshape(inputs.shape)

    @staticmethod
    def _spread(log_det: Tensor, inputs: Tensor) -> Tensor:
        total: Tensor = log_det * (inputs.shape[2] * inputs.shape[3])
        return total.to(inputs.dtype)
