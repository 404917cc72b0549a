"""Invertible 1x1 convolution."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.layers.base import FlowLayer, Shape, make_example
from flowkit.registry import register


@register("conv1x1")
class Conv1x1(FlowLayer):
    """A learned mixing of channels: y = W x at every cell; log|det| = H W log|det W|.

    W (C x C) starts as a random rotation. Its inverse and log-det are taken in float64 and kept until W
    changes. Kingma and Dhariwal, Glow (arXiv:1807.03039).
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(shape.channels, shape.channels))[0])
        self._cache: tuple[tuple[Any, ...], Tensor, Tensor] | None = None

    @classmethod
    def example(cls, generator: torch.Generator) -> tuple[FlowLayer, Tensor, Tensor | None]:
        """See `FlowLayer.example`."""
        return make_example(cls, generator)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Mix the channels by W."""
        log_det = torch.linalg.slogdet(self.weight.double())[1] if self._differentiable() else self._kept()[1]
        return self._mix(inputs, self.weight), self._spread(log_det, inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Mix the channels by W^-1."""
        inverse, log_det = self._solve() if self._differentiable() else self._kept()
        return self._mix(inputs, inverse), -self._spread(log_det, inputs)

    def _differentiable(self) -> bool:
        # The cache is for inference; under compilation the graph would guard on the version of W.
        return torch.is_grad_enabled() or torch.compiler.is_compiling()

    def _solve(self) -> tuple[Tensor, Tensor]:
        weight = self.weight.double()
        return torch.linalg.inv(weight), torch.linalg.slogdet(weight)[1]

    def _kept(self) -> tuple[Tensor, Tensor]:
        weight = self.weight
        key = (weight._version, weight.data_ptr(), weight.dtype, weight.device)
        if self._cache is None or self._cache[0] != key:
            self._cache = (key, *self._solve())
        return self._cache[1:]

    @staticmethod
    def _mix(inputs: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(inputs, weight.to(inputs.dtype)[:, :, None, None])

    @staticmethod
    def _spread(log_det: Tensor, inputs: Tensor) -> Tensor:
        total = log_det * (inputs.shape[2] * inputs.shape[3])
        return total.to(inputs.dtype).expand(inputs.shape[0])
