"""The check of a freshly loaded library: the affine op on a few numbers, against its formula."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from flowkit.ops.compiled import affine_compiled
from flowkit.ops.formula import affine_formula

# whole 16-byte accesses, and what remains beside them
SHAPES = ((2, 8, 4, 8), (3, 3, 5, 7))
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def difference(device: torch.device) -> float:
    """Return the largest relative error of values, log-dets and gradients in both directions."""
    cases = itertools.product(SHAPES, LAYOUTS, (False, True))
    errors = [_errors(shape, layout, device, inverse) for shape, layout, inverse in cases]
    return float(torch.cat(errors).max())  # Python's max would lose a NaN


def _errors(
    shape: tuple[int, int, int, int], layout: torch.memory_format, device: torch.device, inverse: bool
) -> Tensor:
    """Return the errors of a coupling of the second half of the channels."""
    batch, channels, *sides = shape
    start = channels // 2
    generator = torch.Generator().manual_seed(0)
    sizes = (shape, (batch, 2 * (channels - start), *sides))
    inputs = [
        torch.randn(size, generator=generator).to(device, memory_format=layout).requires_grad_()
        for size in sizes
    ]
    with torch.autocast(device.type, enabled=False):
        ours = _with_gradients(*affine_compiled(start, False, "soft", 0.0, inverse, *inputs), inputs)
        z, parameters = inputs
        moved, log_det = affine_formula(z[:, start:], *parameters.chunk(2, dim=1), inverse=inverse)
        expected = _with_gradients(torch.cat([z[:, :start], moved], dim=1), log_det, inputs)
    pairs = zip(ours, expected, strict=True)
    return torch.stack([((a - b).abs() / b.abs().clamp(min=1)).max() for a, b in pairs])


def _with_gradients(out: Tensor, log_det: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    gradients = torch.autograd.grad(out.sin().sum() + log_det.sin().sum(), inputs)
    return [out.detach(), log_det.detach(), *gradients]
