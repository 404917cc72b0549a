"""nflows' maps of vectors, applied to the channels at every pixel: linear maps and splines."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from nflows import transforms
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.interop.nflows.host import NflowsLayer
from flowkit.interop.nflows.linear_spline import linear_spline
from flowkit.layers.base import Shape
from flowkit.registry import register

Tails = Literal["linear"] | None


@register("nflows/one_by_one_convolution")
class OneByOneConvolution(NflowsLayer):
    """y = L U P x + b at every pixel, P a random permutation that is kept with the weights."""

    def __init__(self, shape: Shape, *, identity_init: bool = True) -> None:
        super().__init__(shape, _OneByOneConvolution(shape.channels, identity_init=identity_init))


@register("nflows/lu_linear")
class LULinear(NflowsLayer):
    """y = L U x + b at every pixel."""

    pixels = True

    def __init__(self, shape: Shape, *, identity_init: bool = True, eps: float = 1e-3) -> None:
        super().__init__(shape, _LULinear(shape.channels, identity_init=identity_init, eps=eps))


@register("nflows/qr_linear")
class QRLinear(NflowsLayer):
    """y = Q R x + b at every pixel, Q a product of Householder reflections."""

    pixels = True
    example_options: ClassVar = {"num_householder": 3}

    def __init__(self, shape: Shape, *, num_householder: int) -> None:
        _check_householder(num_householder, shape)
        super().__init__(shape, _QRLinear(shape.channels, num_householder))


@register("nflows/svd_linear")
class SVDLinear(NflowsLayer):
    """y = U S V x + b at every pixel, U and V products of an even number of Householder reflections."""

    pixels = True
    example_options: ClassVar = {"num_householder": 2}

    def __init__(
        self, shape: Shape, *, num_householder: int, identity_init: bool = True, eps: float = 1e-3
    ) -> None:
        _check_householder(num_householder, shape)
        if num_householder % 2:
            raise ShapeError(f"num_householder must be even, got {num_householder}")
        host = transforms.SVDLinear(shape.channels, num_householder, identity_init=identity_init, eps=eps)
        super().__init__(shape, host)


@register("nflows/householder_sequence")
class HouseholderSequence(NflowsLayer):
    """A rotation of the channels: a product of Householder reflections; log|det| = 0."""

    pixels = True
    example_options: ClassVar = {"num_transforms": 3}

    def __init__(self, shape: Shape, *, num_transforms: int) -> None:
        _check_householder(num_transforms, shape)
        super().__init__(shape, transforms.HouseholderSequence(shape.channels, num_transforms))


@register("nflows/piecewise_linear_cdf")
class PiecewiseLinearCDF(NflowsLayer):
    """A piecewise linear spline for each channel; without tails it takes values in [0, 1]."""

    pixels = True

    def __init__(
        self, shape: Shape, *, num_bins: int = 10, tails: Tails = "linear", tail_bound: float = 1.0
    ) -> None:
        super().__init__(shape, _ExactLinearCDF([shape.channels], num_bins, tails, tail_bound))


@register("nflows/piecewise_quadratic_cdf")
class PiecewiseQuadraticCDF(NflowsLayer):
    """A piecewise quadratic spline for each channel; without tails it takes values in [0, 1]."""

    pixels = True

    def __init__(
        self,
        shape: Shape,
        *,
        num_bins: int = 10,
        tails: Tails = "linear",
        tail_bound: float = 1.0,
        min_bin_width: float = 1e-3,
        min_bin_height: float = 1e-3,
    ) -> None:
        host = transforms.PiecewiseQuadraticCDF(
            [shape.channels], num_bins, tails, tail_bound, min_bin_width, min_bin_height
        )
        super().__init__(shape, host)


@register("nflows/piecewise_cubic_cdf")
class PiecewiseCubicCDF(NflowsLayer):
    """A piecewise cubic spline for each channel; without tails it takes values in [0, 1]."""

    pixels = True

    def __init__(
        self,
        shape: Shape,
        *,
        num_bins: int = 10,
        tails: Tails = "linear",
        tail_bound: float = 1.0,
        min_bin_width: float = 1e-3,
        min_bin_height: float = 1e-3,
    ) -> None:
        host = transforms.PiecewiseCubicCDF(
            [shape.channels], num_bins, tails, tail_bound, min_bin_width, min_bin_height
        )
        super().__init__(shape, host)


@register("nflows/piecewise_rational_quadratic_cdf")
class PiecewiseRationalQuadraticCDF(NflowsLayer):
    """A rational-quadratic spline for each channel; without tails it takes values in [0, 1]."""

    pixels = True

    def __init__(
        self,
        shape: Shape,
        *,
        num_bins: int = 10,
        tails: Tails = "linear",
        tail_bound: float = 1.0,
        identity_init: bool = False,
        min_bin_width: float = 1e-3,
        min_bin_height: float = 1e-3,
        min_derivative: float = 1e-3,
    ) -> None:
        host = transforms.PiecewiseRationalQuadraticCDF(
            [shape.channels],
            num_bins,
            tails,
            tail_bound,
            identity_init,
            min_bin_width,
            min_bin_height,
            min_derivative,
        )
        super().__init__(shape, host)


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


def _check_householder(number: int, shape: Shape) -> None:
    # Beyond that, nflows starts with a reflection along the zero vector, which is NaN.
    most = 2 * shape.channels
    if not 1 <= number <= most - number % 2:
        raise ShapeError(f"{shape.channels} channels take 1 to {most} Householder reflections, got {number}")
