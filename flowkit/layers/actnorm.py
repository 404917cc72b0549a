"""Activation normalisation with data-dependent initialisation."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from flowkit.layers.base import FlowLayer, Shape
from flowkit.registry import register


@register("actnorm")
class ActNorm(FlowLayer):
    """Per-channel affine map: y = (x + b) * exp(l); log|det| = H W sum(l).

    The first forward pass in training mode sets b and l so that every channel has mean 0 and variance 1.
    Passes in eval mode never do, nor does the inverse, which sees noise. A channel that is constant in that
    batch keeps scale 1. In distributed training the statistics are those of all processes. Kingma and
    Dhariwal, Glow (arXiv:1807.03039); the order is SRFlow's.

    >>> import torch
    >>> from flowkit.layers import ActNorm, Shape
    >>> layer, x = ActNorm(Shape(3, 1)), 5 + 2 * torch.randn(4, 3, 8, 8)
    >>> with torch.no_grad():
    ...     z, log_det = layer(x)  # in training mode: the first batch sets b and l
    >>> log_det.shape, bool(z.mean().abs() < 1e-5), bool(torch.allclose(layer.inverse(z)[0], x, atol=1e-5))
    (torch.Size([4]), True, True)
    """

    affine = True
    initialised: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.bias = nn.Parameter(torch.zeros(1, shape.channels, 1, 1))
        self.log_scale = nn.Parameter(torch.zeros(1, shape.channels, 1, 1))
        # The buffer travels with state_dict; the Python flag is what the code branches on, because a branch
        # on a tensor breaks torch.compile's graph and costs a device synchronisation in every call.
        self.register_buffer("initialised", torch.tensor(False))
        self._ready = False

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Normalise: y = (x + b) * exp(l)."""
        if self.training and not self._ready:
            self._initialise(inputs)
        bias, log_scale = self.bias.to(inputs.dtype), self.log_scale.to(inputs.dtype)
        return (inputs + bias) * torch.exp(log_scale), self._log_det(inputs, log_scale)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Undo the normalisation: x = y * exp(-l) - b."""
        bias, log_scale = self.bias.to(inputs.dtype), self.log_scale.to(inputs.dtype)
        return inputs * torch.exp(-log_scale) - bias, -self._log_det(inputs, log_scale)

    def _log_det(self, inputs: Tensor, log_scale: Tensor) -> Tensor:
        return (log_scale.sum() * (inputs.shape[2] * inputs.shape[3])).expand(inputs.shape[0])

    @torch.no_grad()
    def _initialise(self, inputs: Tensor) -> None:
        mean = _over_processes(inputs.mean(dim=(0, 2, 3), keepdim=True))
        std = _over_processes((inputs - mean).square().mean(dim=(0, 2, 3), keepdim=True)).sqrt()
        log_scale = torch.where(std > 1e-5, -torch.log(std + 1e-6), torch.zeros_like(std))
        self.bias.copy_(-mean)
        self.log_scale.copy_(log_scale)
        self.initialised.fill_(True)
        self._ready = True

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._ready = bool(self.initialised)


def _over_processes(mean: Tensor) -> Tensor:
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(mean)
        mean /= dist.get_world_size()
    return mean
