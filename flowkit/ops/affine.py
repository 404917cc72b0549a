"""The affine op in plain torch: the formula that every faster implementation has to reproduce."""

from __future__ import annotations

import torch
from torch import Tensor

from flowkit.ops.scale import Scale, log_scale


def affine(
    z: Tensor, shift: Tensor, raw: Tensor, *, scale: Scale = "soft", eps: float = 0.0, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Elementwise affine map with its log-determinant.

    forward:  out = (z + shift) * s        log_det = sum log s
    inverse:  out = z / s - shift          log_det = -sum log s

    with log s = `log_scale(raw, scale, eps)`; the order (shift, then scale) is SRFlow's (arXiv:2006.14200).

    Args:
        z: (B, C, H, W).
        shift: the same shape, or one that broadcasts to it; taken in z's dtype, so that under autocast only
            the networks that made it are low in precision.
        raw: as `shift`; unbounded.

    Returns:
        out (B, C, H, W), and log_det (B,), in nats, in float32 or better.
    """
    shift, raw = shift.to(z.dtype), raw.to(z.dtype)
    log_s = log_scale(raw, scale, eps).expand_as(z)
    log_det = log_s.flatten(1).sum(1, dtype=torch.promote_types(z.dtype, torch.float32))
    if inverse:
        return z * torch.exp(-log_s) - shift, -log_det
    return (z + shift) * torch.exp(log_s), log_det
