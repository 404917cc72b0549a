"""The monotonic rational-quadratic spline: its map, inverse and log-derivative, elementwise."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkit.ops import log_scale


def count(bins: int) -> int:
    """Return the number of raw parameters of a spline: widths, heights, and slopes at the inner knots."""
    return 3 * bins - 1


def spline(inputs: Tensor, raw: Tensor, *, bound: float, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """Map each value by a spline of its own on [-bound, bound], and leave it as it is outside.

    In the bin from (x0, y0) to (x1, y1), of slope m = (y1 - y0) / (x1 - x0) and derivatives d0, d1 at its
    ends, and with t = (x - x0) / (x1 - x0):

        y  = y0 + (y1 - y0) (m t^2 + d0 t (1 - t)) / (m + (d0 + d1 - 2 m) t (1 - t))
        y' = m^2 (d1 t^2 + 2 m t (1 - t) + d0 (1 - t)^2) / (m + (d0 + d1 - 2 m) t (1 - t))^2

    The derivative is 1 at both ends of the domain, so map and derivative are continuous everywhere; raw
    parameters of 0 give the identity. Durkan et al., Neural Spline Flows (arXiv:1906.04032).

    Their least bin and least derivative, 1e-3, allow maps so steep that float32 cannot invert them. Here raw
    parameters are softly clamped instead: a bin is at most e^2 times as wide, or as high, as another, and
    the derivative at a knot is between e^-2 and e^2, as the scale of an affine coupling.

    Args:
        inputs: of any shape (B, ...).
        raw: (B, 3 K - 1, ...), unbounded: K widths, K heights, K - 1 slopes.
        bound: half the side of the domain.
        inverse: y -> x instead of x -> y.

    Returns:
        outputs, and the logarithm of their derivative by the inputs, both of the inputs' shape.
    """
    knots = _knots(raw, bound)
    inside = inputs.abs() < bound
    # Values from outside are moved inside before the spline's arithmetic: their results are not used, but NaN
    # among them would enter the gradients all the same.
    safe = inputs.clamp(-bound, bound)
    bin_ = _bin_of(safe, knots, vertical=inverse)
    if inverse:
        # The root itself is a constant for autograd. One step of Newton's method from there is exact again,
        # and its derivatives are those of the inverse function: no gradient has to pass the square root.
        start = _root(safe.detach(), _Bin(*(value.detach() for value in bin_)))
        reached, log_slope = _map(start, bin_)
        found = start + (safe - reached) * torch.exp(-log_slope).detach()
        outputs, log_slope = found, -_map(found, bin_)[1]
    else:
        outputs, log_slope = _map(safe, bin_)
    return torch.where(inside, outputs, inputs), torch.where(inside, log_slope, torch.zeros_like(log_slope))


class _Knots(NamedTuple):
    """Positions, values and derivatives at the K + 1 knots, each (B, K + 1, ...)."""

    x: Tensor
    y: Tensor
    slope: Tensor


class _Bin(NamedTuple):
    """The bin of each value."""

    x0: Tensor
    width: Tensor
    y0: Tensor
    height: Tensor
    d0: Tensor
    d1: Tensor


def _knots(raw: Tensor, bound: float) -> _Knots:
    bins = (raw.shape[1] + 1) // 3
    inner = torch.exp(log_scale(raw[:, 2 * bins :]))
    end = torch.ones_like(raw[:, :1])
    return _Knots(
        _positions(raw[:, :bins], bound),
        _positions(raw[:, bins : 2 * bins], bound),
        torch.cat([end, inner, end], dim=1),
    )


def _positions(raw: Tensor, bound: float) -> Tensor:
    """Turn K raw sizes into K + 1 increasing positions; the first and the last equal the bounds exactly."""
    sizes = torch.softmax(F.softsign(raw), dim=1)
    inner = bound * (2 * torch.cumsum(sizes, dim=1)[:, :-1] - 1)
    end = torch.full_like(raw[:, :1], bound)
    return torch.cat([-end, inner, end], dim=1)


def _bin_of(values: Tensor, knots: _Knots, *, vertical: bool) -> _Bin:
    inner = (knots.y if vertical else knots.x)[:, 1:-1]
    index = (values.unsqueeze(1) >= inner).sum(dim=1, keepdim=True)

    def both(ends: Tensor) -> tuple[Tensor, Tensor]:
        return ends.gather(1, index).squeeze(1), ends.gather(1, index + 1).squeeze(1)

    (x0, x1), (y0, y1), (d0, d1) = map(both, knots)
    return _Bin(x0, x1 - x0, y0, y1 - y0, d0, d1)


def _map(x: Tensor, bin_: _Bin) -> tuple[Tensor, Tensor]:
    """Return y and log y'."""
    x0, width, y0, height, d0, d1 = bin_
    mean = height / width
    t = (x - x0) / width
    rest = 1 - t
    below = mean * (1 - 2 * t * rest) + (d0 + d1) * t * rest  # a sum of positive terms: nothing cancels
    y = y0 + height * t * (mean * t + d0 * rest) / below
    rise = d1 * t.square() + 2 * mean * t * rest + d0 * rest.square()
    return y, 2 * torch.log(mean) + torch.log(rise) - 2 * torch.log(below)


def _root(y: Tensor, bin_: _Bin) -> Tensor:
    """Return the x of a y: the root of a quadratic equation, in the form without cancellation."""
    x0, width, y0, height, d0, d1 = bin_
    mean = height / width
    share = (y - y0) / height
    bend = (d0 + d1 - 2 * mean) * share
    a = mean - d0 + bend
    b = d0 - bend
    c = -mean * share
    # It is positive, apart from rounding errors.
    discriminant = (b.square() - 4 * a * c).clamp(min=0)
    t = 2 * c / (-b - torch.sqrt(discriminant))
    return x0 + width * t.clamp(0, 1)
