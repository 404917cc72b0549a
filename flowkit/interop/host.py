"""The adapter around layers of other libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from flowkit.layers.base import FlowLayer, Shape

Direction = Callable[[Tensor, Any], tuple[Tensor, Any]]


class HostLayer(FlowLayer):
    """Another library's bijection, `host`, as a layer; subclasses map its methods to the directions.

    Log-dets become (B,) in the data's dtype; the host gets its inputs contiguous, because some take views.

    Args:
        shape: of the input.
        host: the bijection.
        context: of the features, for a host that reads them.

    Attributes:
        pixels: the host takes vectors; it is applied at every pixel, to its channels (and its features).
    """

    compiles = False  # many hosts branch on tensors, and flowkit cannot promise for them
    pixels: ClassVar[bool] = False
    host: Any

    def __init__(self, shape: Shape, host: nn.Module, context: Shape | None = None) -> None:
        super().__init__(shape, context)
        self.host = host
        for tensor in (*host.parameters(), *host.buffers()):
            tensor.data = tensor.data.contiguous()  # see `Conv1x1`

    def condition(self, features: Tensor) -> tuple[Tensor]:
        """Return the features as the host takes them: unchanged, or one vector per pixel (B H W, C)."""
        return (to_rows(features) if self.pixels else features,)

    def _through(self, direction: Direction, inputs: Tensor, context: Any) -> tuple[Tensor, Tensor]:
        """Run a direction of the host on (B, C, H, W); the result and its log|det| (B,)."""
        given = None if context is None else context[0]
        if not self.pixels:
            outputs, log_det = direction(inputs.contiguous(), given)
            return outputs, per_sample(log_det, inputs, inputs.shape[0])
        rows, log_det = direction(to_rows(inputs), given)
        log_det = per_sample(log_det, inputs, rows.shape[0])
        return from_rows(rows, inputs), reduce(log_det, "(b cells) -> b", "sum", b=inputs.shape[0])


def to_rows(inputs: Tensor) -> Tensor:
    """Turn (B, C, H, W) into (B H W, C)."""
    return rearrange(inputs, "b c h w -> (b h w) c")


def from_rows(rows: Tensor, like: Tensor) -> Tensor:
    """Turn (B H W, C) into (B, C, H, W), with the B, H and W of `like`."""
    batch, _, height, width = like.shape
    return rearrange(rows, "(b h w) c -> b c h w", b=batch, h=height, w=width)


def per_sample(log_det: Any, like: Tensor, count: int) -> Tensor:
    """Turn a host's log-det, which may be a number or have no dimension, into (count,) in `like`'s dtype.

    >>> per_sample(0, torch.ones(1, dtype=torch.float64), 2)
    tensor([0., 0.], dtype=torch.float64)
    """
    return torch.as_tensor(log_det, dtype=like.dtype, device=like.device).expand(count)
