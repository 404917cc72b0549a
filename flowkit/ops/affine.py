"""The affine op: in plain torch, its definition, and by compiled kernels where they exist."""

from __future__ import annotations

import torch
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.ops import kernels
from flowkit.ops.compiled import affine_compiled
from flowkit.ops.formula import affine_formula, split_parameters
from flowkit.ops.scale import SCALES, Scale
from flowkit.ops.tracing import transformed

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def affine(
    z: Tensor, shift: Tensor, raw: Tensor, *, scale: Scale = "soft", eps: float = 0.0, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Apply an elementwise affine map, and return its log-determinant.

    forward:  out = (z + shift) * s        log_det = sum log s
    inverse:  out = z / s - shift          log_det = -sum log s

    with log s = `log_scale(raw, scale, eps)`; the order (shift, then scale) is SRFlow's (arXiv:2006.14200).

    Compiled kernels (see `flowkit.ops.kernels`) serve float32, float64, bfloat16 and float16 (computed in
    float32), in torch's default layout and in channels_last; the result lies in the layout of `raw`. All
    else, and what is transformed by `torch.func`, takes the path in plain torch, with the same results but
    for rounding. The kernels keep z, shift and raw for the backward pass, and nothing else.

    Args:
        z: (B, C, H, W).
        shift: the same shape, or one that broadcasts to it; taken in z's dtype, so that under autocast only
            the networks that made it are low in precision.
        raw: as `shift`; unbounded.

    Returns:
        out (B, C, H, W), and log_det (B,), in nats, in float32 or better.
    """
    shift, raw = shift.to(z.dtype), raw.to(z.dtype)
    if _served(z, shift, raw) and scale in SCALES:
        shift, raw = shift.expand_as(z), raw.expand_as(z)
        return affine_compiled(0, False, scale, eps, inverse, z, shift, raw)
    return affine_formula(z, shift, raw, scale=scale, eps=eps, inverse=inverse)


def affine_packed(
    z: Tensor,
    parameters: Tensor,
    *,
    start: int = 0,
    interleaved: bool = False,
    scale: Scale = "soft",
    eps: float = 0.0,
    inverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Apply `affine` to the channels of z from `start` on, by a network's packed output; keep the others.

    Nothing is taken apart or put together: the kernels read shift and raw where they lie in `parameters`,
    write the map of the moved channels and the kept ones into one result, and in the backward pass the
    gradient by `parameters` in one piece.

    Args:
        z: (B, C, H, W).
        parameters: (B, 2 M, H, W) for M moved channels; taken in z's dtype.
        start: the first of them.
        interleaved: shift and raw are the even and the odd channels of `parameters`, as in SRFlow's code
            ("cross"); they are its first and its second half if not.
        scale: as of `affine`, like `eps` and `inverse`.

    Returns:
        out (B, C, H, W), and log_det (B,), in nats, in float32 or better.

    Raises:
        ShapeError: the shapes do not fit.
    """
    count = parameters.shape[1] // 2
    wanted = (z.shape[0], 2 * max(count, 1), *z.shape[2:])
    if tuple(parameters.shape) != wanted or not 0 <= start <= z.shape[1] - count:
        raise ShapeError(
            f"expected parameters {wanted} for {count} of the {z.shape[1]} channels of {tuple(z.shape)}, "
            f"from {start} on; got {tuple(parameters.shape)}"
        )
    parameters = parameters.to(z.dtype)
    if _served(z, parameters) and scale in SCALES:
        return affine_compiled(start, interleaved, scale, eps, inverse, z, parameters)
    shift, raw = split_parameters((parameters,), interleaved)
    moved, log_det = affine_formula(
        z[:, start : start + count], shift, raw, scale=scale, eps=eps, inverse=inverse
    )
    return torch.cat([z[:, :start], moved, z[:, start + count :]], dim=1), log_det


def _served(*tensors: Tensor) -> bool:
    z = tensors[0]
    if z.dtype not in DTYPES or z.dim() < 2:
        return False
    if not all(type(t) in (Tensor, torch.nn.Parameter) and t.device == z.device for t in tensors):
        return False
    return not transformed() and kernels.available(z.device)
