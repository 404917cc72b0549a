"""nflows' autoregressive maps over the channels of a pixel, conditioned on the features of that pixel.

The inverse, which sampling uses, takes as many sequential passes as there are channels. Dropout and batch
normalisation are left out: with them the network, and so the map, would differ from call to call.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from nflows import transforms
from torch import Tensor

from flowkit.interop.nflows.host import NflowsLayer
from flowkit.interop.nflows.linear_spline import linear_spline
from flowkit.layers.base import Shape
from flowkit.registry import register

Tails = Literal["linear"] | None

_EXAMPLE = {"hidden_features": 4, "channels": 3, "size": (2, 3)}


@register("nflows/masked_affine_autoregressive")
class MaskedAffineAutoregressive(NflowsLayer):
    """Channel i becomes x_i * s + t, s and t from the channels before it and the pixel's features."""

    pixels = True
    example_options: ClassVar = _EXAMPLE

    def __init__(
        self, shape: Shape, context: Shape, *, hidden_features: int = 64, num_blocks: int = 2
    ) -> None:
        host = transforms.MaskedAffineAutoregressiveTransform(
            shape.channels, hidden_features, context.channels, num_blocks
        )
        super().__init__(shape, host, context)


@register("nflows/masked_piecewise_linear_autoregressive")
class MaskedPiecewiseLinearAutoregressive(NflowsLayer):
    """Piecewise linear splines of the channels, each made from those before it; values in [0, 1] only."""

    pixels = True
    unit = True
    example_options: ClassVar = {**_EXAMPLE, "num_bins": 4}

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        num_bins: int = 10,
        hidden_features: int = 64,
        num_blocks: int = 2,
    ) -> None:
        host = _ExactLinear(num_bins, shape.channels, hidden_features, context.channels, num_blocks)
        super().__init__(shape, host, context)


@register("nflows/masked_piecewise_quadratic_autoregressive")
class MaskedPiecewiseQuadraticAutoregressive(NflowsLayer):
    """Piecewise quadratic splines of the channels, each made from those before it and the features."""

    pixels = True
    example_options: ClassVar = {**_EXAMPLE, "num_bins": 4}

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        num_bins: int = 10,
        tails: Tails = "linear",
        tail_bound: float = 1.0,
        min_bin_width: float = 1e-3,
        min_bin_height: float = 1e-3,
        hidden_features: int = 64,
        num_blocks: int = 2,
    ) -> None:
        host = transforms.MaskedPiecewiseQuadraticAutoregressiveTransform(
            shape.channels,
            hidden_features,
            context.channels,
            num_bins,
            num_blocks,
            tails,
            tail_bound,
            min_bin_width=min_bin_width,
            min_bin_height=min_bin_height,
        )
        super().__init__(shape, host, context)


@register("nflows/masked_piecewise_cubic_autoregressive")
class MaskedPiecewiseCubicAutoregressive(NflowsLayer):
    """Piecewise cubic splines of the channels, each made from those before it; values in [0, 1] only."""

    pixels = True
    unit = True
    example_options: ClassVar = {**_EXAMPLE, "num_bins": 4}

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        num_bins: int = 10,
        hidden_features: int = 64,
        num_blocks: int = 2,
    ) -> None:
        host = transforms.MaskedPiecewiseCubicAutoregressiveTransform(
            num_bins, shape.channels, hidden_features, context.channels, num_blocks
        )
        super().__init__(shape, host, context)


@register("nflows/masked_piecewise_rational_quadratic_autoregressive")
class MaskedPiecewiseRationalQuadraticAutoregressive(NflowsLayer):
    """Rational-quadratic splines of the channels, each made from those before it and the features."""

    pixels = True
    example_options: ClassVar = {**_EXAMPLE, "num_bins": 4}

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        num_bins: int = 10,
        tails: Tails = "linear",
        tail_bound: float = 1.0,
        min_bin_width: float = 1e-3,
        min_bin_height: float = 1e-3,
        min_derivative: float = 1e-3,
        hidden_features: int = 64,
        num_blocks: int = 2,
    ) -> None:
        host = transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            shape.channels,
            hidden_features,
            context.channels,
            num_bins,
            tails,
            tail_bound,
            num_blocks,
            min_bin_width=min_bin_width,
            min_bin_height=min_bin_height,
            min_derivative=min_derivative,
        )
        super().__init__(shape, host, context)


class _ExactLinear(transforms.MaskedPiecewiseLinearAutoregressiveTransform):  # type: ignore[misc]
    def _elementwise(
        self, inputs: Tensor, autoregressive_params: Tensor, inverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        raw = autoregressive_params.view(len(inputs), self.features, self.num_bins)
        outputs, log_slope = linear_spline(inputs, raw, bound=None, inverse=inverse)
        return outputs, log_slope.sum(1)
