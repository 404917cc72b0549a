"""The affine op: in plain torch, which is its definition, and by compiled kernels where there are some."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowkit.ops import kernels
from flowkit.ops.scale import SCALES, Scale, log_scale


def affine(
    z: Tensor, shift: Tensor, raw: Tensor, *, scale: Scale = "soft", eps: float = 0.0, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Elementwise affine map with its log-determinant.

    forward:  out = (z + shift) * s        log_det = sum log s
    inverse:  out = z / s - shift          log_det = -sum log s

    with log s = `log_scale(raw, scale, eps)`; the order (shift, then scale) is SRFlow's (arXiv:2006.14200).

    Compiled kernels (see `flowkit.ops.kernels`) serve float32 and float64 whose samples are contiguous;
    halves of a network's output, as `chunk` gives them, are read where they lie. All else, and what is traced
    by `torch.compile` or transformed by `torch.func`, takes the path in plain torch, with the same results
    but for rounding. The kernels keep z, shift and raw for the backward pass, and nothing else.

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
        out, log_det = _Affine.apply(z, shift, raw, SCALES.index(scale), eps, inverse)  # type: ignore[no-untyped-call]
        return out, log_det
    return affine_formula(z, shift, raw, scale=scale, eps=eps, inverse=inverse)


def affine_formula(
    z: Tensor, shift: Tensor, raw: Tensor, *, scale: Scale = "soft", eps: float = 0.0, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """`affine` in plain torch, for z, shift and raw of one dtype."""
    log_s = log_scale(raw, scale, eps).expand_as(z)
    log_det = log_s.flatten(1).sum(1, dtype=torch.promote_types(z.dtype, torch.float32))
    if inverse:
        return z * torch.exp(-log_s) - shift, -log_det
    return (z + shift) * torch.exp(log_s), log_det


def _served(z: Tensor, shift: Tensor, raw: Tensor) -> bool:
    if torch.compiler.is_compiling() or z.dtype not in (torch.float32, torch.float64):
        return False
    if not all(type(t) in (Tensor, torch.nn.Parameter) and _by_sample(t, z.shape) for t in (z, shift, raw)):
        return False
    if not z.device == shift.device == raw.device or _transformed():
        return False
    return kernels.available(z.device)


def _by_sample(t: Tensor, shape: torch.Size) -> bool:
    """Whether t has this shape, and each of its samples lies in one piece."""
    return t.dim() > 1 and t.shape == shape and (t.is_contiguous() or (len(t) > 0 and t[0].is_contiguous()))


def _transformed() -> bool:
    """Whether a transform of `torch.func`, or forward-mode differentiation, is at work."""
    functorch: Any = torch._C._functorch
    forward: Any = torch.autograd.forward_ad
    return functorch.peek_interpreter_stack() is not None or forward._current_level >= 0


class _Affine(torch.autograd.Function):
    """The compiled op and its gradients; gradients of gradients are those of the formula."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, shift: Tensor, raw: Tensor, scale: int, eps: float, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(z, shift, raw)
        ctx.options = scale, eps, inverse
        out, log_det = torch.ops.flowkit.affine(z, shift, raw, scale, eps, inverse)
        return out, log_det

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        z, shift, raw = ctx.saved_tensors
        scale, eps, inverse = ctx.options
        by_out, by_log_det = gradients
        if torch.is_grad_enabled():
            wanted = ctx.needs_input_grad[:3]
            inputs = [t for t, of_interest in zip((z, shift, raw), wanted, strict=True) if of_interest]
            results = affine_formula(z, shift, raw, scale=SCALES[scale], eps=eps, inverse=inverse)
            found = iter(torch.autograd.grad(results, inputs, gradients, create_graph=True))
            return (*(next(found) if of_interest else None for of_interest in wanted), None, None, None)
        if not _by_sample(by_out, z.shape):
            by_out = by_out.contiguous()
        by_z, by_raw = torch.ops.flowkit.affine_backward(
            by_out, by_log_det.contiguous(), z, shift, raw, scale, eps, inverse
        )
        by_shift = None
        if ctx.needs_input_grad[1]:
            by_shift = -by_out if inverse else by_z
        return by_z, by_shift, by_raw, None, None, None
