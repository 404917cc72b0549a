"""The affine op: in plain torch, which is its definition, and by compiled kernels where there are some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.ops import kernels
from flowkit.ops.library import channels_last
from flowkit.ops.scale import SCALES, Scale, log_scale

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def affine(
    z: Tensor, shift: Tensor, raw: Tensor, *, scale: Scale = "soft", eps: float = 0.0, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Elementwise affine map with its log-determinant.

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
        return _run(0, False, scale, eps, inverse, z, shift, raw)
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
    """`affine` on the channels from `start` on of z, by a network's output as it is; the others pass through.

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
        return _run(start, interleaved, scale, eps, inverse, z, parameters)
    shift, raw = _parts((parameters,), interleaved)
    moved, log_det = affine_formula(
        z[:, start : start + count], shift, raw, scale=scale, eps=eps, inverse=inverse
    )
    return torch.cat([z[:, :start], moved, z[:, start + count :]], dim=1), log_det


def affine_formula(
    z: Tensor, shift: Tensor, raw: Tensor, *, scale: Scale = "soft", eps: float = 0.0, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """`affine` in plain torch, for z, shift and raw of one dtype."""
    log_s = log_scale(raw, scale, eps).expand_as(z)
    log_det = log_s.flatten(1).sum(1, dtype=torch.promote_types(z.dtype, torch.float32))
    if inverse:
        return z * torch.exp(-log_s) - shift, -log_det
    return (z + shift) * torch.exp(log_s), log_det


def _parts(parameters: Sequence[Tensor], interleaved: bool) -> tuple[Tensor, Tensor]:
    """Shift and raw, which come as two tensors or packed in one."""
    if len(parameters) == 1:
        packed = parameters[0]
        parameters = (packed[:, 0::2], packed[:, 1::2]) if interleaved else packed.chunk(2, dim=1)
    shift, raw = parameters
    return shift, raw


def _served(*tensors: Tensor) -> bool:
    z = tensors[0]
    if z.dtype not in DTYPES or z.dim() < 2:
        return False
    if not all(type(t) in (Tensor, torch.nn.Parameter) and t.device == z.device for t in tensors):
        return False
    return not _transformed() and kernels.available(z.device)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _transformed() -> bool:
    """Whether a transform of `torch.func`, or forward-mode differentiation, is at work."""
    functorch: Any = torch._C._functorch
    forward: Any = torch.autograd.forward_ad
    return functorch.peek_interpreter_stack() is not None or forward._current_level >= 0


def _run(
    start: int, interleaved: bool, scale: Scale, eps: float, inverse: bool, z: Tensor, *parameters: Tensor
) -> tuple[Tensor, Tensor]:
    # By differentiable means, and once for both passes; the layers that follow find z in their own layout.
    if channels_last(parameters[-1]) and not channels_last(z):
        z = z.contiguous(memory_format=torch.channels_last)
    elif channels_last(z) and not channels_last(parameters[-1]):
        z = z.contiguous()
    options = start, interleaved, SCALES.index(scale), eps, inverse
    differentiable = torch.is_grad_enabled() and any(t.requires_grad for t in (z, *parameters))
    run: Any = _Affine.apply if differentiable else _compiled
    out, log_det = run(*options, z, *parameters)
    return out, log_det


def _compiled(
    start: int, interleaved: bool, scale: int, eps: float, inverse: bool, z: Tensor, *parameters: Tensor
) -> tuple[Tensor, Tensor]:
    shift, raw = _parts(parameters, interleaved)
    out, log_det = torch.ops.flowkit.affine(z, shift, raw, start, scale, eps, inverse)
    return out, log_det


class _Affine(torch.autograd.Function):
    """The compiled op and its gradients, for `(z, parameters)` or `(z, shift, raw)`.

    Gradients of gradients are those of the formula.
    """

    @staticmethod
    def forward(
        ctx: Any,
        start: int,
        interleaved: bool,
        scale: int,
        eps: float,
        inverse: bool,
        z: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(z, *parameters)
        ctx.options = start, interleaved, scale, eps, inverse
        return _compiled(*ctx.options, z, *parameters)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        z, *parameters = ctx.saved_tensors
        start, interleaved, scale, eps, inverse = ctx.options
        if torch.is_grad_enabled():
            return (*(None,) * 5, *_differentiable(ctx, gradients))
        shift, raw = _parts(parameters, interleaved)
        by_z, by_parameters = torch.ops.flowkit.affine_backward(
            *gradients, z, shift, raw, start, interleaved, scale, eps, inverse
        )
        found = (by_parameters,) if len(parameters) == 1 else by_parameters.chunk(2, dim=1)
        return (*(None,) * 5, by_z, *found)


def _differentiable(ctx: Any, gradients: tuple[Tensor, ...]) -> list[Tensor | None]:
    """The gradients once more, by the formula, with gradients of their own."""
    z, *parameters = ctx.saved_tensors
    start, interleaved, scale, eps, inverse = ctx.options
    shift, raw = _parts(parameters, interleaved)
    end = start + raw.shape[1]
    moved, log_det = affine_formula(
        z[:, start:end], shift, raw, scale=SCALES[scale], eps=eps, inverse=inverse
    )
    out = torch.cat([z[:, :start], moved, z[:, end:]], dim=1)
    wanted = ctx.needs_input_grad[5:]
    inputs = [t for t, of_interest in zip((z, *parameters), wanted, strict=True) if of_interest]
    found = iter(torch.autograd.grad((out, log_det), inputs, gradients, create_graph=True))
    return [next(found) if of_interest else None for of_interest in wanted]
