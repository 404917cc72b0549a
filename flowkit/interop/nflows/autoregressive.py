"""nflows' autoregressive maps over the channels of a pixel, conditioned on the features of that pixel.

The inverse, which sampling uses, takes as many sequential passes as there are channels. Dropout and batch
normalisation are left out: with them the network, and so the map, would differ from call to call.
"""

from __future__ import annotations

import functools

from nflows import transforms
from torch import Tensor

from flowkit.interop.adapter import adapt
from flowkit.interop.nflows.host import NflowsLayer
from flowkit.interop.nflows.linear_spline import linear_spline
from flowkit.interop.nflows.options import BINS, DERIVATIVE, TAILS, WIDTHS

_NETWORK = {"hidden_features": 64, "num_blocks": 2}
_EXAMPLE = {"hidden_features": 4, "channels": 3, "size": (2, 3)}


class _ExactLinear(transforms.MaskedPiecewiseLinearAutoregressiveTransform):  # type: ignore[misc]
    def _elementwise(
        self, inputs: Tensor, autoregressive_params: Tensor, inverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        raw = autoregressive_params.view(len(inputs), self.features, self.num_bins)
        outputs, log_slope = linear_spline(inputs, raw, bound=None, inverse=inverse)
        return outputs, log_slope.sum(1)


_add = functools.partial(adapt, NflowsLayer, __name__, pixels=True)
_add(
    "nflows/masked_affine_autoregressive",
    "Channel i becomes x_i * s + t, s and t from the channels before it and the pixel's features.",
    transforms.MaskedAffineAutoregressiveTransform,
    _NETWORK,
    example_options=_EXAMPLE,
)
_add = functools.partial(_add, example_options={**_EXAMPLE, "num_bins": 4})
for _kind, _host in (
    ("linear", _ExactLinear),
    ("cubic", transforms.MaskedPiecewiseCubicAutoregressiveTransform),
):
    _add(
        f"nflows/masked_piecewise_{_kind}_autoregressive",
        f"Piecewise {_kind} splines of the channels, each made from those before it; values in [0, 1] only.",
        _host,
        BINS | _NETWORK,
        unit=True,
    )
_add(
    "nflows/masked_piecewise_quadratic_autoregressive",
    "Piecewise quadratic splines of the channels, each made from those before it and the features.",
    transforms.MaskedPiecewiseQuadraticAutoregressiveTransform,
    BINS | TAILS | WIDTHS | _NETWORK,
)
_add(
    "nflows/masked_piecewise_rational_quadratic_autoregressive",
    "Rational-quadratic splines of the channels, each made from those before it and the features.",
    transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    BINS | TAILS | WIDTHS | DERIVATIVE | _NETWORK,
)
