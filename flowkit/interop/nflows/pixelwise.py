"""nflows' maps of vectors, applied to the channels at every pixel: linear maps and splines."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from nflows import transforms
from torch import Tensor, nn

from flowkit.errors import ShapeError
from flowkit.interop.adapter import Typed, adapt
from flowkit.interop.nflows.host import NflowsLayer
from flowkit.interop.nflows.linear_spline import linear_spline
from flowkit.interop.nflows.options import BINS, DERIVATIVE, TAILS, WIDTHS
from flowkit.layers.base import Shape


class _Inverted:
    """The inverse of a linear map by the inverse matrix, taken in float64.

    nflows' own calls `torch.triangular_solve`, which is deprecated and warns.
    """

    def inverse_no_cache(self: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        inverse = torch.linalg.inv(self.weight().double()).to(inputs.dtype)
        return F.linear(inputs - self.bias, inverse), (-self.logabsdet()).expand(len(inputs))


class _LULinear(_Inverted, transforms.LULinear):  # type: ignore[misc]
    pass


class _QRLinear(_Inverted, transforms.QRLinear):  # type: ignore[misc]
    pass


class _OneByOneConvolution(_Inverted, transforms.OneByOneConvolution):  # type: ignore[misc]
    pass


class _ExactLinearCDF(transforms.PiecewiseLinearCDF):  # type: ignore[misc]
    def _spline(self, inputs: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        bound = None if self.tails is None else self.tail_bound
        raw = self.unnormalized_pdf.expand(*inputs.shape, -1)
        outputs, log_slope = linear_spline(inputs, raw, bound=bound, inverse=inverse)
        return outputs, log_slope.flatten(1).sum(1)


def _reflections(host: type[nn.Module], option: str, even: bool = False) -> Callable[..., nn.Module]:
    """Make the constructor of a host with so many Householder reflections, which are checked."""

    def make(shape: Shape, **options: Any) -> nn.Module:
        number, most = options[option], 2 * shape.channels
        # Beyond that, nflows starts with a reflection along the zero vector, which is NaN.
        if not 1 <= number <= most - number % 2:
            raise ShapeError(
                f"{shape.channels} channels take 1 to {most} Householder reflections, got {number}"
            )
        if even and number % 2:
            raise ShapeError(f"{option} must be even, got {number}")
        return host(shape.channels, **options)

    return make


def _per_channel(host: type[nn.Module]) -> Callable[..., nn.Module]:
    """Make the constructor of a host that has parameters of its own for each channel."""

    def make(shape: Shape, **options: Any) -> nn.Module:
        return host([shape.channels], **options)

    return make


_NUMBER = Typed(int)
_SPLINE = "spline for each channel; without tails it takes values in [0, 1]."

_add = functools.partial(adapt, NflowsLayer, __name__)
_add(
    "nflows/one_by_one_convolution",
    "y = L U P x + b at every pixel, P a random permutation that is kept with the weights.",
    _OneByOneConvolution,
    {"identity_init": True},
)
_add = functools.partial(_add, pixels=True)
_add(
    "nflows/lu_linear",
    "y = L U x + b at every pixel.",
    _LULinear,
    {"identity_init": True, "eps": 1e-3},
)
_add(
    "nflows/qr_linear",
    "y = Q R x + b at every pixel, Q a product of Householder reflections.",
    _reflections(_QRLinear, "num_householder"),
    {"num_householder": _NUMBER},
    example_options={"num_householder": 3},
)
_add(
    "nflows/svd_linear",
    "y = U S V x + b at every pixel, U and V products of an even number of Householder reflections.",
    _reflections(transforms.SVDLinear, "num_householder", even=True),
    {"num_householder": _NUMBER, "identity_init": True, "eps": 1e-3},
    example_options={"num_householder": 2},
)
_add(
    "nflows/householder_sequence",
    "A rotation of the channels: a product of Householder reflections; log|det| = 0.",
    _reflections(transforms.HouseholderSequence, "num_transforms"),
    {"num_transforms": _NUMBER},
    example_options={"num_transforms": 3},
)
_add(
    "nflows/piecewise_linear_cdf",
    f"A piecewise linear {_SPLINE}",
    _per_channel(_ExactLinearCDF),
    BINS | TAILS,
)
_add(
    "nflows/piecewise_quadratic_cdf",
    f"A piecewise quadratic {_SPLINE}",
    _per_channel(transforms.PiecewiseQuadraticCDF),
    BINS | TAILS | WIDTHS,
)
_add(
    "nflows/piecewise_cubic_cdf",
    f"A piecewise cubic {_SPLINE}",
    _per_channel(transforms.PiecewiseCubicCDF),
    BINS | TAILS | WIDTHS,
)
_add(
    "nflows/piecewise_rational_quadratic_cdf",
    f"A rational-quadratic {_SPLINE}",
    _per_channel(transforms.PiecewiseRationalQuadraticCDF),
    BINS | TAILS | {"identity_init": False} | WIDTHS | DERIVATIVE,
)
