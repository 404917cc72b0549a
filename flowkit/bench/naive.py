"""Flows as in published code: every call computes everything again, the image's part too."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.flow import ConditionalFlow
from flowkit.flow.passes import from_latents, to_latents
from flowkit.layers import Conv1x1, FlowLayer
from flowkit.layers.features import Features, dense
from flowkit.layers.network import ConditionalNetwork, Low
from flowkit.layers.saved_hidden import Noted


class NaiveFlow(nn.Module):
    """A copy of a flow, with the same results: to be timed beside it, and measured.

    Every call runs the encoder; every network convolves a concatenation of latents and features, if it has
    one kernel size, as SRFlow's; every 1x1 convolution is inverted when it is met.
    """

    def __init__(self, flow: ConditionalFlow) -> None:
        super().__init__()
        self.flow = copy.deepcopy(flow)
        for module in self.flow.modules():
            if isinstance(module, ConditionalNetwork):
                module.__class__ = _Concatenating

    def log_prob(self, image: Tensor, y: Tensor) -> Tensor:
        """Return `flow(image).log_prob(y)`."""
        features = self._features(image)
        v, log_q = self.flow.target.dequantise(y, None)
        v, log_det, *left = to_latents(self._layers(), self._contexts(features), v)
        normal = [-0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1) for z in (*left, v)]
        return sum(normal, log_det) - log_q

    def decode(self, image: Tensor, latents: Sequence[Tensor]) -> Tensor:
        """Return `flow(image).decode(latents)`."""
        v, _ = from_latents(self._layers(), self._contexts(self._features(image)), latents)
        return self.flow.target.restore(v)

    def _features(self, image: Tensor) -> dict[int, Tensor]:
        for layer in self._layers():
            if isinstance(layer, Conv1x1):
                layer.forget()
        features: dict[int, Tensor] = self.flow.encoder(image)
        return features

    def _contexts(self, features: dict[int, Tensor]) -> list[Tensor | None]:
        # raw features: every layer conditions itself
        return [None if layer.context is None else features[layer.context.stride] for layer in self._layers()]

    def _layers(self) -> list[FlowLayer]:
        return [layer for layer in self.flow.layers if isinstance(layer, FlowLayer)]


class _Concatenating(ConditionalNetwork):
    """conv([z1, u]) with the weights of conv(z1) + conv(u)."""

    def condition(self, features: Features) -> Tensor:
        """Return the features as they are."""
        return dense(features)

    def forward(
        self, features: Tensor | Noted | Low, latent: Tensor | None = None, *, initialise: bool = True
    ) -> Tensor:
        """Compute what `ConditionalNetwork.forward` does, from the features."""
        assert isinstance(features, Tensor)  # notes are for recomputation, of which there is none here
        weight, bias = self.on_context.weight, self.on_context.bias
        apart: Tensor | float = 0.0
        if self.on_latent is not None and latent is not None:
            if self.on_latent.kernel_size == self.on_context.kernel_size:
                weight = torch.cat([self.on_latent.weight, weight], dim=1)
                features = torch.cat([latent, features], dim=1)
            else:  # not SRFlow's: nothing to concatenate
                apart = self.on_latent(latent)
        hidden = F.conv2d(features, weight, bias, padding=weight.shape[-1] // 2) + apart
        return super().forward(hidden, initialise=initialise)
