"""The piecewise linear spline of nflows, exact in both directions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from nflows.transforms import InputOutsideDomain
from torch import Tensor


def linear_spline(
    inputs: Tensor, raw: Tensor, *, bound: float | None, inverse: bool
) -> tuple[Tensor, Tensor]:
    """Map elementwise by a spline with rises `softmax(raw)` of equally wide bins; return values, log slopes.

    The function is that of `nflows.transforms.splines.linear_spline`. nflows' own inverse makes its knots
    in float32, on the CPU, and moves the last one by 1e-6, so that it is off by up to 2e-5 even in float64.

    Args:
        inputs: any shape.
        raw: that shape and the bins.
        bound: the spline is on [-bound, bound] and values outside stay as they are; None: on [0, 1].
        inverse: the direction.

    Raises:
        InputOutsideDomain: without a bound, a value outside [0, 1].
    """
    if bound is None:
        if inputs.min() < 0 or inputs.max() > 1:
            raise InputOutsideDomain
        return _on_unit(inputs, raw, inverse)
    inside = inputs.abs() <= bound
    # Values outside are replaced before the formula, so that none of its gradients is NaN.
    unit = (torch.where(inside, inputs, torch.zeros_like(inputs)) + bound) / (2 * bound)
    outputs, log_slope = _on_unit(unit, raw, inverse)
    outputs = torch.where(inside, outputs * (2 * bound) - bound, inputs)
    return outputs, torch.where(inside, log_slope, torch.zeros_like(log_slope))


def _on_unit(inputs: Tensor, raw: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
    bins = raw.shape[-1]
    log_rise = F.log_softmax(raw, dim=-1)
    rise = log_rise.exp()
    ends = rise.cumsum(-1)
    if inverse:
        index = (inputs[..., None] >= ends[..., :-1]).sum(-1, keepdim=True)
    else:
        index = (inputs * bins).floor().long().clamp(0, bins - 1)[..., None]
    start = (ends - rise).gather(-1, index)[..., 0]
    log_slope = log_rise.gather(-1, index)[..., 0] + math.log(bins)
    step = rise.gather(-1, index)[..., 0]
    left = index[..., 0].to(inputs.dtype)
    if inverse:
        return ((inputs - start) / step + left) / bins, -log_slope
    return start + (inputs * bins - left) * step, log_slope
