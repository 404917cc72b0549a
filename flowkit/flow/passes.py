"""Forward and inverse passes through a list of layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from flowkit.layers import FlowLayer

MOST_PIXELS = 2**22  # of targets that are decoded at once: their hidden values take a gigabyte or so


def to_latents(layers: Iterable[FlowLayer], contexts: Iterable[Any], v: Tensor) -> tuple[Tensor, ...]:
    """Map data to latents through `layers`: return the last latent, log|det| (B,), and each latent that left.

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


def from_latents(
    layers: Sequence[FlowLayer], contexts: Sequence[Any], latents: Sequence[Tensor], samples: int = 1
) -> tuple[Tensor, list[Tensor]]:
    """Map latents to data, the inverse of `to_latents`: the latents that left in their order, then the last.

    With `samples`, the latents are those of several samples of one image, whose contexts these are. Returns
    v, and every layer's log|det| (B,) of this direction.
    """
    left = list(latents)
    v = left.pop()
    log_dets: list[Tensor] = []
    for layer, context in zip(reversed(layers), reversed(contexts), strict=True):
        if layer.latent_channels:
            v = torch.cat([v, left.pop()], dim=1)
        v, log_det = invert(layer, v, context, samples)
        log_dets.append(log_det)
    return v, log_dets


def at_once(height: int, width: int, device: torch.device) -> int:
    """Return the number of samples of a target of this size that are best decoded in one batch.

    A CPU has the work of one sample in its caches. A GPU waits for its host, unless a call is large.
    """
    return 1 if device.type == "cpu" else max(1, MOST_PIXELS // (height * width))


def invert(layer: FlowLayer, v: Tensor, context: Any, samples: int = 1) -> tuple[Tensor, Tensor]:
    """Return `layer.inverse(v, context)`; with `samples`, v holds so many of one image."""
    if samples == 1 or context is None:
        return layer.inverse(v, context)
    if _of_one_image(context):
        return layer.inverse(v, _expanded(context, samples))
    values, log_dets = zip(*(layer.inverse(one, context) for one in torch.split(v, 1)), strict=True)
    return torch.cat(values), torch.cat(log_dets)


def _of_one_image(context: Any) -> bool:
    """Return true for tensors whose first dimension may be the image's, not rows of cells."""
    if isinstance(context, Tensor):
        return context.dim() > 0 and context.shape[0] == 1
    return isinstance(context, tuple) and all(map(_of_one_image, context))


def _expanded(context: Any, samples: int) -> Any:
    if isinstance(context, Tensor):
        return context.expand(samples, *context.shape[1:])
    return tuple(_expanded(part, samples) for part in context)
