"""The way of a flow's variable through its layers, from the data to the latents and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from flowkit.layers import FlowLayer


def to_latents(layers: Iterable[FlowLayer], contexts: Iterable[Any], v: Tensor) -> tuple[Tensor, ...]:
    """Data -> latent through `layers`: what goes on, log|det| (B,), then each latent that left, in order.

    Contexts are taken one by one, as the layers need them: a generator's need not all exist at once.
    """
    left: list[Tensor] = []
    log_det = v.new_zeros(v.shape[0], dtype=torch.promote_types(v.dtype, torch.float32))
    for layer, context in zip(layers, contexts, strict=True):
        v, change = layer(v, context)
        log_det = log_det + change
        if layer.latent_channels:
            kept = layer.out_shape.channels
            left.append(v[:, kept:])
            v = v[:, :kept]
    return v, log_det, *left


def from_latents(layers: Sequence[FlowLayer], contexts: Sequence[Any], latents: Sequence[Tensor]) -> Tensor:
    """Latent -> data: the inverse of `to_latents`, of the latents in its order and what went on, last."""
    left = list(latents)
    v = left.pop()
    for layer, context in zip(reversed(layers), reversed(contexts), strict=True):
        if layer.latent_channels:
            v = torch.cat([v, left.pop()], dim=1)
        v, _ = layer.inverse(v, context)
    return v
