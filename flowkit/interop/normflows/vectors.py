"""normflows' flows of vectors, applied to the channels at every pixel, with the features of that pixel.

Dropout is left out: with it a network, and so the map, would differ from call to call.
"""

from __future__ import annotations

import warnings
from typing import ClassVar

from normflows import flows

from flowkit.errors import ShapeError
from flowkit.interop.normflows.host import NormflowsLayer
from flowkit.layers.base import Shape
from flowkit.registry import register

_SMALL = {"channels": 3, "size": (2, 3)}


@register("normflows/invertible_affine")
class InvertibleAffine(NormflowsLayer):
    """A learned mixing of channels, y = x W at every pixel; with `use_lu`, W = P L (U + diag(s))."""

    pixels = True

    def __init__(self, shape: Shape, *, use_lu: bool = True) -> None:
        with warnings.catch_warnings():
            # It calls torch.lu, and users can do nothing about that.
            warnings.filterwarnings("ignore", message="torch.lu is deprecated")
            host = flows.InvertibleAffine(shape.channels, use_lu)
        super().__init__(shape, host)


@register("normflows/lu_linear_permute")
class LULinearPermute(NormflowsLayer):
    """y = L U P x + b at every pixel, P a random permutation that is kept with the weights."""

    pixels = True

    def __init__(self, shape: Shape, *, identity_init: bool = True) -> None:
        super().__init__(shape, flows.LULinearPermute(shape.channels, identity_init))


@register("normflows/masked_affine_autoregressive")
class MaskedAffineAutoregressive(NormflowsLayer):
    """Channel i becomes (x_i - t) / s, s and t from the RESULTS before it and the pixel's features.

    normflows' direction: sampling is one pass, log_prob as many as there are channels.
    """

    pixels = True
    passes_context = True
    example_options: ClassVar = {**_SMALL, "hidden_features": 4}

    def __init__(
        self, shape: Shape, context: Shape, *, hidden_features: int = 64, num_blocks: int = 2
    ) -> None:
        host = flows.MaskedAffineAutoregressive(shape.channels, hidden_features, context.channels, num_blocks)
        super().__init__(shape, host, context)


@register("normflows/coupled_rational_quadratic_spline")
class CoupledRationalQuadraticSpline(NormflowsLayer):
    """Rational-quadratic splines: free ones of every other channel, and from these those of the rest."""

    pixels = True
    passes_context = True
    example_options: ClassVar = {**_SMALL, "num_hidden_channels": 4, "num_blocks": 1}

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        num_blocks: int = 2,
        num_hidden_channels: int = 64,
        num_bins: int = 8,
        tail_bound: float = 3.0,
        reverse_mask: bool = False,
    ) -> None:
        if shape.channels < 2:
            raise ShapeError(f"a coupling needs 2 channels or more, got {shape.channels}")
        host = flows.CoupledRationalQuadraticSpline(
            shape.channels,
            num_blocks,
            num_hidden_channels,
            context.channels,
            num_bins,
            tail_bound=tail_bound,
            reverse_mask=reverse_mask,
        )
        super().__init__(shape, host, context)


@register("normflows/autoregressive_rational_quadratic_spline")
class AutoregressiveRationalQuadraticSpline(NormflowsLayer):
    """Rational-quadratic splines of the channels, each made from those before it and the features."""

    pixels = True
    passes_context = True
    example_options: ClassVar = {**_SMALL, "num_hidden_channels": 4, "num_blocks": 1}

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        num_blocks: int = 2,
        num_hidden_channels: int = 64,
        num_bins: int = 8,
        tail_bound: float = 3.0,
        permute_mask: bool = False,
        init_identity: bool = True,
    ) -> None:
        host = flows.AutoregressiveRationalQuadraticSpline(
            shape.channels,
            num_blocks,
            num_hidden_channels,
            context.channels,
            num_bins,
            tail_bound,
            permute_mask=permute_mask,
            init_identity=init_identity,
        )
        super().__init__(shape, host, context)
