"""The affine op's definition, in plain torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowkit.ops.scale import Scale, log_scale


def affine_formula(
    z: Tensor, shift: Tensor, raw: Tensor, *, scale: Scale = "soft", eps: float = 0.0, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Compute `flowkit.ops.affine` in plain torch, for z, shift and raw of one dtype."""
    log_s = log_scale(raw, scale, eps).expand_as(z)
    dims = tuple(range(1, z.dim()))
    log_det = log_s.sum(dims, dtype=torch.promote_types(z.dtype, torch.float32))
    if inverse:
        return z * torch.exp(-log_s) - shift, -log_det
    return (z + shift) * torch.exp(log_s), log_det


def split_parameters(parameters: Sequence[Tensor], interleaved: bool) -> tuple[Tensor, Tensor]:
    """Return shift and raw, given as two tensors or packed in one."""
    if len(parameters) == 1:
        packed = parameters[0]
        parameters = (packed[:, 0::2], packed[:, 1::2]) if interleaved else packed.chunk(2, dim=1)
    shift, raw = parameters
    return shift, raw
