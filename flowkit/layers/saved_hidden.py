"""First-layer activations, saved in the forward pass and reused when it is recomputed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Noted:
    """An argument in place of A u: the network records h = relu(N(A u + B z1)) in it, or uses a recorded h.

    Args:
        projected: A u (B, hidden, h, w). If h is known, only its gradient is used, not its values.
        hidden: h, if it is known.
    """

    def __init__(self, projected: Tensor, hidden: Tensor | None = None) -> None:
        self.projected = projected
        self.hidden = hidden


def known(
    hidden: Tensor, before: Tensor, log_scale: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """Return h = relu((x + b) * exp(l)) with its gradients, for a recorded h; l and b may be missing.

    x is not needed: where h is not 0 it equals relu's argument, and elsewhere the gradient is 0.

    Args:
        hidden: h.
        before: stands for x; only its gradient is used, not its values.
        log_scale: l (C, 1, 1).
        bias: b (C, 1, 1).

    >>> x = torch.tensor([-1.0, 2.0], requires_grad=True)
    >>> torch.autograd.grad(known(torch.tensor([0.0, 5.0]), x).sum(), x)
    (tensor([0., 1.]),)
    """
    found: Tensor = _Known.apply(hidden, before, log_scale, bias)  # type: ignore[no-untyped-call]
    return found


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, before: Tensor, log_scale: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        ctx.normalised = log_scale is not None
        ctx.save_for_backward(hidden, *([] if log_scale is None else [log_scale]))
        return hidden.view_as(hidden)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        hidden, *scales = ctx.saved_tensors
        gradient = torch.where(hidden != 0, gradient, 0)
        if not scales:
            return None, gradient, None, None
        [log_scale] = scales
        over = (0, 2, 3)
        on_scale = (gradient * hidden).sum(over, dtype=log_scale.dtype)
        gradient = gradient * torch.exp(log_scale.to(gradient.dtype))
        on_bias = gradient.sum(over, dtype=log_scale.dtype)
        return None, gradient, on_scale.view_as(log_scale), on_bias.view_as(log_scale)
