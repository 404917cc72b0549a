"""nflows' couplings with flowkit's networks, which condition on the features once per image."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from nflows import transforms
from torch import Tensor, nn

from flowkit.errors import ShapeError
from flowkit.interop.nflows.host import NflowsLayer
from flowkit.interop.nflows.linear_spline import linear_spline
from flowkit.layers.base import Shape
from flowkit.layers.network import ConditionalNetwork
from flowkit.registry import register

Mask = Literal["half", "alternate"]
Tails = Literal["linear"] | None


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
    """One part of the channels, with the image, determines an elementwise map of the other: `transform`.

    Args:
        shape: of the input; two channels or more.
        context: of the features.
        transform: a class of `nflows.transforms`.
        hidden: channels inside the conditioning network.
        kernel: size of its convolutions.
        mask: `half` moves the last ceil(C/2) channels, `alternate` the first, third, ...
        flip: move the others.
        zero: whether the network starts at zero. Not for splines: nflows inverts a straight piece as 0/0.
        options: of the transform.
    """

    example_options: ClassVar = {"hidden": 4}

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        transform: type[nn.Module],
        *,
        hidden: int,
        kernel: int,
        mask: Mask,
        flip: bool,
        zero: bool = False,
        **options: Any,
    ) -> None:
        if shape.channels < 2:
            raise ShapeError(f"a coupling needs 2 channels or more, got {shape.channels}")

        def create(latent: int, out: int) -> _Network:
            return _Network(latent, out, context, hidden=hidden, kernel=kernel, zero=zero)

        super().__init__(shape, transform(_mask(shape.channels, mask, flip), create, **options), context)
        self.reach = self._network().reach

    def condition(self, features: Tensor) -> tuple[Tensor]:
        """Compute the image's part of the network's first convolution (B, hidden, h, w)."""
        return (self._network().condition(features),)

    def _network(self) -> ConditionalNetwork:
        network: ConditionalNetwork = self.host.transform_net.network
        return network


@register("nflows/affine_coupling")
class AffineCoupling(NflowsCoupling):
    """[x1 | x2] -> [x1 | x2 * s + t], s = sigmoid(raw + 2) + 0.001; s, t from x1 and the features."""

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        hidden: int = 64,
        kernel: int = 3,
        mask: Mask = "half",
        flip: bool = False,
    ) -> None:
        super().__init__(
            shape,
            context,
            transforms.AffineCouplingTransform,
            hidden=hidden,
            kernel=kernel,
            mask=mask,
            flip=flip,
            zero=True,
        )


@register("nflows/additive_coupling")
class AdditiveCoupling(NflowsCoupling):
    """[x1 | x2] -> [x1 | x2 + t], t from x1 and the features; log|det| = 0."""

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        hidden: int = 64,
        kernel: int = 3,
        mask: Mask = "half",
        flip: bool = False,
    ) -> None:
        super().__init__(
            shape,
            context,
            transforms.AdditiveCouplingTransform,
            hidden=hidden,
            kernel=kernel,
            mask=mask,
            flip=flip,
            zero=True,
        )


@register("nflows/piecewise_linear_coupling")
class PiecewiseLinearCoupling(NflowsCoupling):
    """A piecewise linear spline of x2 made from x1 and the features; without tails x2 is in [0, 1]."""

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        num_bins: int = 10,
        tails: Tails = "linear",
        tail_bound: float = 1.0,
        hidden: int = 64,
        kernel: int = 3,
        mask: Mask = "half",
        flip: bool = False,
    ) -> None:
        super().__init__(
            shape,
            context,
            _ExactLinearCoupling,
            hidden=hidden,
            kernel=kernel,
            mask=mask,
            flip=flip,
            num_bins=num_bins,
            tails=tails,
            tail_bound=tail_bound,
        )


@register("nflows/piecewise_quadratic_coupling")
class PiecewiseQuadraticCoupling(NflowsCoupling):
    """A piecewise quadratic spline of x2 made from x1 and the features; without tails x2 is in [0, 1]."""

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
        hidden: int = 64,
        kernel: int = 3,
        mask: Mask = "half",
        flip: bool = False,
    ) -> None:
        super().__init__(
            shape,
            context,
            transforms.PiecewiseQuadraticCouplingTransform,
            hidden=hidden,
            kernel=kernel,
            mask=mask,
            flip=flip,
            num_bins=num_bins,
            tails=tails,
            tail_bound=tail_bound,
            min_bin_width=min_bin_width,
            min_bin_height=min_bin_height,
        )


@register("nflows/piecewise_cubic_coupling")
class PiecewiseCubicCoupling(NflowsCoupling):
    """A piecewise cubic spline of x2 made from x1 and the features; without tails x2 is in [0, 1]."""

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
        hidden: int = 64,
        kernel: int = 3,
        mask: Mask = "half",
        flip: bool = False,
    ) -> None:
        super().__init__(
            shape,
            context,
            transforms.PiecewiseCubicCouplingTransform,
            hidden=hidden,
            kernel=kernel,
            mask=mask,
            flip=flip,
            num_bins=num_bins,
            tails=tails,
            tail_bound=tail_bound,
            min_bin_width=min_bin_width,
            min_bin_height=min_bin_height,
        )


@register("nflows/piecewise_rational_quadratic_coupling")
class PiecewiseRationalQuadraticCoupling(NflowsCoupling):
    """A rational-quadratic spline of x2 made from x1 and the features; without tails x2 is in [0, 1]."""

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
        hidden: int = 64,
        kernel: int = 3,
        mask: Mask = "half",
        flip: bool = False,
    ) -> None:
        super().__init__(
            shape,
            context,
            transforms.PiecewiseRationalQuadraticCouplingTransform,
            hidden=hidden,
            kernel=kernel,
            mask=mask,
            flip=flip,
            num_bins=num_bins,
            tails=tails,
            tail_bound=tail_bound,
            min_bin_width=min_bin_width,
            min_bin_height=min_bin_height,
            min_derivative=min_derivative,
        )


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
