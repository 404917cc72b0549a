"""What a freshly loaded library has to get right: the affine op on a few numbers, against its formula."""

from __future__ import annotations

import torch
from torch import Tensor

from flowkit.ops.scale import log_scale

# whole 16-byte accesses, and what remains beside them
SHAPES = ((2, 4, 4, 8), (3, 3, 5, 7))


def difference(device: torch.device) -> float:
    """The largest error of values, log-dets and gradients in both directions, relative to 1 or the value."""
    errors = [_errors(shape, device, inverse) for shape in SHAPES for inverse in (False, True)]
    return float(torch.cat(errors).max())  # Python's max would lose a NaN


def _errors(shape: tuple[int, ...], device: torch.device, inverse: bool) -> Tensor:
    from flowkit.ops.affine import affine  # which asks whether there are kernels

    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(shape, generator=generator).to(device).requires_grad_() for _ in range(3)]
    with torch.autocast(device.type, enabled=False):
        ours = _with_gradients(*affine(*inputs, inverse=inverse), inputs)
        expected = _with_gradients(*_formula(*inputs, inverse=inverse), inputs)
    pairs = zip(ours, expected, strict=True)
    return torch.stack([((a - b).abs() / b.abs().clamp(min=1)).max() for a, b in pairs])


def _formula(z: Tensor, shift: Tensor, raw: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
    log_s = log_scale(raw)
    if inverse:
        return z * torch.exp(-log_s) - shift, -log_s.flatten(1).sum(1)
    return (z + shift) * torch.exp(log_s), log_s.flatten(1).sum(1)


def _with_gradients(out: Tensor, log_det: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    gradients = torch.autograd.grad(out.sin().sum() + log_det.sin().sum(), inputs)
    return [out.detach(), log_det.detach(), *gradients]
