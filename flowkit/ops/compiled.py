"""The affine op by compiled kernels: dispatch, layouts and gradients. The library must be loaded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowkit.ops.formula import affine_formula, split_parameters
from flowkit.ops.library import channels_last
from flowkit.ops.scale import SCALES, Scale


def affine_compiled(
    start: int, interleaved: bool, scale: Scale, eps: float, inverse: bool, z: Tensor, *parameters: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute `flowkit.ops.affine_packed` of one tensor of parameters, or `flowkit.ops.affine` of two."""
    # By differentiable means, and once for both passes; the layers that follow find z in their own layout.
    if channels_last(parameters[-1]) and not channels_last(z):
        z = z.contiguous(memory_format=torch.channels_last)
    elif channels_last(z) and not channels_last(parameters[-1]):
        z = z.contiguous()
    options = start, interleaved, SCALES.index(scale), eps, inverse
    differentiable = torch.is_grad_enabled() and any(t.requires_grad for t in (z, *parameters))
    run: Any = _Affine.apply if differentiable else _call
    out, log_det = run(*options, z, *parameters)
    return out, log_det


def _call(
    start: int, interleaved: bool, scale: int, eps: float, inverse: bool, z: Tensor, *parameters: Tensor
) -> tuple[Tensor, Tensor]:
    shift, raw = split_parameters(parameters, interleaved)
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
        return _call(*ctx.options, z, *parameters)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        z, *parameters = ctx.saved_tensors
        start, interleaved, scale, eps, inverse = ctx.options
        if torch.is_grad_enabled():
            return (*(None,) * 5, *_differentiable(ctx, gradients))
        shift, raw = split_parameters(parameters, interleaved)
        by_z, by_parameters = torch.ops.flowkit.affine_backward(
            *gradients, z, shift, raw, start, interleaved, scale, eps, inverse
        )
        found = (by_parameters,) if len(parameters) == 1 else by_parameters.chunk(2, dim=1)
        return (*(None,) * 5, by_z, *found)


def _differentiable(ctx: Any, gradients: tuple[Tensor, ...]) -> list[Tensor | None]:
    """Compute the gradients by the formula, so that they can be differentiated again."""
    z, *parameters = ctx.saved_tensors
    start, interleaved, scale, eps, inverse = ctx.options
    shift, raw = split_parameters(parameters, interleaved)
    end = start + raw.shape[1]
    moved, log_det = affine_formula(
        z[:, start:end], shift, raw, scale=SCALES[scale], eps=eps, inverse=inverse
    )
    out = torch.cat([z[:, :start], moved, z[:, end:]], dim=1)
    wanted = ctx.needs_input_grad[5:]
    inputs = [t for t, of_interest in zip((z, *parameters), wanted, strict=True) if of_interest]
    found = iter(torch.autograd.grad((out, log_det), inputs, gradients, create_graph=True))
    return [next(found) if of_interest else None for of_interest in wanted]
