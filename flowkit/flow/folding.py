"""Runs of affine layers as one: for parameters that do not change."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkit.layers import FlowLayer


class Folded(FlowLayer):
    """Consecutive affine maps of the channels, the same at every cell, folded into one.

    x = W y + b, found in float64 from the layers' inverses of 0 and of the unit vectors; log|det| is
    h w times that of W, or of its inverse.

    Args:
        layers: one or more, data -> latent.
    """

    affine = True
    ahead: Tensor
    ahead_bias: Tensor
    back: Tensor
    back_bias: Tensor
    log_det: Tensor

    @torch.no_grad()
    def __init__(self, layers: Sequence[FlowLayer]) -> None:
        super().__init__(layers[0].shape)
        self.out_shape = layers[-1].out_shape
        channels = self.shape.channels
        tensors = [tensor for layer in layers for tensor in (*layer.parameters(), *layer.buffers())]
        device = tensors[0].device if tensors else None
        probes = torch.eye(channels + 1, channels, dtype=torch.float64, device=device)[..., None, None]
        for layer in reversed(layers):  # an actnorm's forward may be one that sets it
            probes, _ = layer.inverse(probes)
        answers = probes[:, :, 0, 0]
        back = (answers[:-1] - answers[-1]).T.contiguous()
        ahead = torch.linalg.inv(back)
        self.register_buffer("back", back)
        self.register_buffer("back_bias", answers[-1])
        self.register_buffer("ahead", ahead)
        self.register_buffer("ahead_bias", -ahead @ answers[-1])
        self.register_buffer("log_det", torch.linalg.slogdet(ahead)[1])

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Compute W^-1 (x - b) at every cell."""
        return _map(inputs, self.ahead, self.ahead_bias), self._log_det(inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Compute W y + b at every cell."""
        return _map(inputs, self.back, self.back_bias), -self._log_det(inputs)

    def _log_det(self, inputs: Tensor) -> Tensor:
        cells = inputs.shape[2] * inputs.shape[3]
        return inputs.new_zeros(inputs.shape[0]) + (self.log_det * cells).to(inputs.dtype)


def folded(layers: Iterable[FlowLayer], *, least: int = 2) -> list[FlowLayer]:
    """Return the layers with runs of affine ones folded, those of `least` layers or more."""
    found: list[FlowLayer] = []
    for affine, group in itertools.groupby(layers, lambda layer: layer.affine):
        run = list(group)
        found += [Folded(run)] if affine and len(run) >= least else run
    return found


def _map(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(inputs, weight.to(inputs.dtype)[:, :, None, None], bias.to(inputs.dtype))
