"""nflows' couplings with flowkit's networks, which condition on the features once per image."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from nflows import transforms
from torch import Tensor, nn

from flowkit.errors import ShapeError
from flowkit.interop.adapter import Typed, adapt
from flowkit.interop.nflows.host import NflowsLayer
from flowkit.interop.nflows.linear_spline import linear_spline
from flowkit.interop.nflows.options import BINS, DERIVATIVE, TAILS, WIDTHS
from flowkit.layers.base import Shape
from flowkit.layers.network import ConditionalNetwork

Mask = Literal["half", "alternate"]


class _Network(nn.Module):
    """flowkit's network with nflows' signature; it starts at zero if `zero`."""

    def __init__(
        self, latent: int, out: int, context: Shape, *, hidden: int, kernel: int, zero: bool
    ) -> None:
        super().__init__()
        self.hidden_features = hidden  # by its root, nflows divides what makes the bins of a spline
        self.network = ConditionalNetwork(
            latent, context.channels, out, hidden=hidden, kernel=kernel, context_kernel=kernel
        )
        if not zero:
            self.network.out.reset_parameters()

    def forward(self, inputs: Tensor, context: Tensor) -> Tensor:
        result: Tensor = self.network(context, inputs)
        return result


class NflowsCoupling(NflowsLayer):
    """One part of the channels, with the image, determines an elementwise map of the other."""

    example_options: ClassVar = {"hidden": 4}

    def __init__(self, shape: Shape, host: nn.Module, context: Shape) -> None:
        super().__init__(shape, host, context)
        self.reach = self._network().reach

    def condition(self, features: Tensor) -> tuple[Tensor]:
        """Compute the image's part of the network's first convolution (B, hidden, h, w)."""
        return (self._network().condition(features),)

    def _network(self) -> ConditionalNetwork:
        network: ConditionalNetwork = self.host.transform_net.network
        return network


def coupling(transform: type[nn.Module], *, zero: bool = False) -> Callable[..., nn.Module]:
    """Make the constructor of a coupling of nflows.

    Args:
        transform: a coupling of `nflows.transforms`.
        zero: whether the network starts at zero. Not for splines: nflows inverts a straight piece as 0/0.

    Raises:
        ShapeError: from what is made, on less than two channels.
    """

    def make(
        shape: Shape, context: Shape, *, hidden: int, kernel: int, mask: Mask, flip: bool, **options: Any
    ) -> nn.Module:
        if shape.channels < 2:
            raise ShapeError(f"a coupling needs 2 channels or more, got {shape.channels}")

        def create(latent: int, out: int) -> _Network:
            return _Network(latent, out, context, hidden=hidden, kernel=kernel, zero=zero)

        return transform(_mask(shape.channels, mask, flip), create, **options)

    return make


class _ExactLinearCoupling(transforms.PiecewiseLinearCouplingTransform):  # type: ignore[misc]
    def _piecewise_cdf(
        self, inputs: Tensor, transform_params: Tensor, inverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        bound = None if self.tails is None else self.tail_bound
        return linear_spline(inputs, transform_params, bound=bound, inverse=inverse)


def _mask(channels: int, mask: Mask, flip: bool) -> list[int]:
    """Return nflows' mask, 1 where a channel moves, for the parts of `flowkit.layers.masks.Partition`."""
    if mask == "half":
        moved = [int(i >= channels // 2) for i in range(channels)]
    else:
        moved = [1 - i % 2 for i in range(channels)]
    return [1 - m for m in moved] if flip else moved


# `half` moves the last ceil(C/2) channels, `alternate` the first, third, ...; `flip` the others.
_NETWORK = {"hidden": 64, "kernel": 3, "mask": Typed(Mask, "half"), "flip": False}
_SPLINE = "spline of x2 made from x1 and the features; without tails x2 is in [0, 1]."

_add = functools.partial(adapt, NflowsCoupling, __name__)
_add(
    "nflows/affine_coupling",
    "[x1 | x2] -> [x1 | x2 * s + t], s = sigmoid(raw + 2) + 0.001; s, t from x1 and the features.",
    coupling(transforms.AffineCouplingTransform, zero=True),
    _NETWORK,
)
_add(
    "nflows/additive_coupling",
    "[x1 | x2] -> [x1 | x2 + t], t from x1 and the features; log|det| = 0.",
    coupling(transforms.AdditiveCouplingTransform, zero=True),
    _NETWORK,
)
_add(
    "nflows/piecewise_linear_coupling",
    f"A piecewise linear {_SPLINE}",
    coupling(_ExactLinearCoupling),
    BINS | TAILS | _NETWORK,
)
_add(
    "nflows/piecewise_quadratic_coupling",
    f"A piecewise quadratic {_SPLINE}",
    coupling(transforms.PiecewiseQuadraticCouplingTransform),
    BINS | TAILS | WIDTHS | _NETWORK,
)
_add(
    "nflows/piecewise_cubic_coupling",
    f"A piecewise cubic {_SPLINE}",
    coupling(transforms.PiecewiseCubicCouplingTransform),
    BINS | TAILS | WIDTHS | _NETWORK,
)
_add(
    "nflows/piecewise_rational_quadratic_coupling",
    f"A rational-quadratic {_SPLINE}",
    coupling(transforms.PiecewiseRationalQuadraticCouplingTransform),
    BINS | TAILS | WIDTHS | DERIVATIVE | _NETWORK,
)
