"""normflows' flows of vectors, applied to the channels at every pixel, with the features of that pixel.

Dropout is left out: with it a network, and so the map, would differ from call to call.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

from normflows import flows
from torch import nn

from flowkit.errors import ShapeError
from flowkit.interop.adapter import adapt
from flowkit.interop.normflows.host import NormflowsLayer
from flowkit.layers.base import Shape

_SPLINE = {"num_blocks": 2, "num_hidden_channels": 64, "num_bins": 8, "tail_bound": 3.0}
_EXAMPLE = {"channels": 3, "size": (2, 3)}
_SPLINE_EXAMPLE = {**_EXAMPLE, "num_hidden_channels": 4, "num_blocks": 1}


def _invertible_affine(num_channels: int, use_lu: bool) -> nn.Module:
    with warnings.catch_warnings():
        # It calls torch.lu, and users can do nothing about that.
        warnings.filterwarnings("ignore", message="torch.lu is deprecated")
        made: nn.Module = flows.InvertibleAffine(num_channels, use_lu)
    return made


def _coupled_spline(shape: Shape, context: Shape, **options: Any) -> nn.Module:
    if shape.channels < 2:
        raise ShapeError(f"a coupling needs 2 channels or more, got {shape.channels}")
    made: nn.Module = flows.CoupledRationalQuadraticSpline(
        shape.channels, num_context_channels=context.channels, **options
    )
    return made


_add = functools.partial(adapt, NormflowsLayer, __name__, pixels=True)
_add(
    "normflows/invertible_affine",
    "A learned mixing of channels, y = x W at every pixel; with `use_lu`, W = P L (U + diag(s)).",
    _invertible_affine,
    {"use_lu": True},
)
_add(
    "normflows/lu_linear_permute",
    "y = L U P x + b at every pixel, P a random permutation that is kept with the weights.",
    flows.LULinearPermute,
    {"identity_init": True},
)
_add(
    "normflows/masked_affine_autoregressive",
    "Channel i becomes (x_i - t) / s, s and t from the RESULTS before it and the pixel's features.\n\n"
    "normflows' direction: sampling is one pass, log_prob as many as there are channels.",
    flows.MaskedAffineAutoregressive,
    {"hidden_features": 64, "num_blocks": 2},
    passes_context=True,
    example_options={**_EXAMPLE, "hidden_features": 4},
)
_add(
    "normflows/coupled_rational_quadratic_spline",
    "Rational-quadratic splines: free ones of every other channel, and from these those of the rest.",
    _coupled_spline,
    {**_SPLINE, "reverse_mask": False},
    passes_context=True,
    example_options=_SPLINE_EXAMPLE,
)
_add(
    "normflows/autoregressive_rational_quadratic_spline",
    "Rational-quadratic splines of the channels, each made from those before it and the features.",
    flows.AutoregressiveRationalQuadraticSpline,
    {**_SPLINE, "permute_mask": False, "init_identity": True},
    passes_context=True,
    example_options=_SPLINE_EXAMPLE,
)
