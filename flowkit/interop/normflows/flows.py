"""normflows' flows of images; none of them takes a context."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeVar

import torch
from normflows import flows, nets, transforms
from torch import Tensor, nn

from flowkit.errors import ShapeError
from flowkit.interop.adapter import Typed, adapt
from flowkit.interop.host import Direction
from flowkit.interop.normflows.host import NormflowsLayer
from flowkit.layers.base import Shape
from flowkit.registry import register

ScaleMap = Literal["exp", "sigmoid", "sigmoid_inv"]
SplitMode = Literal["channel", "channel_inv", "checkerboard", "checkerboard_inv"]

T = TypeVar("T")


class _Coupling(NormflowsLayer):
    """A coupling on images; its networks are normflows' own, of kernels 3, 1, 3."""

    example_options: ClassVar = {"hidden_channels": 4}

    def __init__(self, shape: Shape, host: nn.Module, split_mode: SplitMode = "channel") -> None:
        super().__init__(shape, host)
        self.checkerboard = "checkerboard" in split_mode
        # On a checkerboard the networks see half of the columns, pushed together.
        self.reach = 5 if self.checkerboard else 2
        self.grid = 2 if self.checkerboard else 1

    def _through(self, direction: Direction, inputs: Tensor, context: Any) -> tuple[Tensor, Tensor]:
        if self.checkerboard and inputs.shape[3] % 2:
            raise ShapeError(f"normflows' checkerboards need an even width, got {tuple(inputs.shape)}")
        return super()._through(direction, inputs, context)


@register("normflows/affine_coupling_block")
class AffineCouplingBlock(_Coupling):
    """One part of the input determines an affine map of the other, by a convolutional network.

    `scale_map`: `exp` as RealNVP, `sigmoid` as Glow, `sigmoid_inv` its reciprocal; without `scale` it only
    shifts. The channel modes need two channels or more, the checkerboards an even width.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        hidden_channels: int = 64,
        scale: bool = True,
        scale_map: ScaleMap = "exp",
        split_mode: SplitMode = "channel",
    ) -> None:
        kept, moved = _parts(shape, split_mode)
        out = moved * (2 if scale else 1)
        network = nets.ConvNet2d((kept, hidden_channels, hidden_channels, out), (3, 1, 3))
        host = flows.AffineCouplingBlock(network, scale, scale_map, split_mode)
        super().__init__(shape, host, split_mode)


@register("normflows/masked_affine")
class MaskedAffine(_Coupling):
    """y = (x - t) * exp(-s) on every other channel, s and t from the channels between, by two networks."""

    def __init__(self, shape: Shape, *, hidden_channels: int = 64, flip: bool = False) -> None:
        _parts(shape, "channel")
        mask = (torch.arange(shape.channels) + int(flip)).remainder(2).float().view(-1, 1, 1)
        sizes = (shape.channels, hidden_channels, hidden_channels, shape.channels)
        shift, scale = (nets.ConvNet2d(sizes, (3, 1, 3)) for _ in range(2))
        super().__init__(shape, flows.MaskedAffineFlow(mask, shift, scale))


@register("normflows/glow_block")
class GlowBlock(_Coupling):
    """A step of Glow: activation normalisation, 1x1 convolution, affine coupling. Not conditional.

    Its activation normalisation is that of `normflows/act_norm`.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        hidden_channels: int = 64,
        scale: bool = True,
        scale_map: ScaleMap = "sigmoid",
        split_mode: SplitMode = "channel",
        leaky: float = 0.0,
        init_zeros: bool = True,
        use_lu: bool = True,
    ) -> None:
        _parts(shape, split_mode)
        options = (scale, scale_map, split_mode, leaky, init_zeros, use_lu)
        block = _quietly(lambda: flows.GlowBlock(shape.channels, hidden_channels, *options))
        block.flows[-1] = _SafeActNorm((shape.channels, 1, 1))
        super().__init__(shape, block, split_mode)


@register("normflows/squeeze")
class Squeeze(NormflowsLayer):
    """Space to depth by 2; as `squeeze`."""

    example_options: ClassVar = {"size": (4, 6)}

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, flows.Squeeze())
        self.out_shape = Shape(4 * shape.channels, 2 * shape.stride)


class _SafeActNorm(flows.ActNorm):  # type: ignore[misc]
    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        result: tuple[Tensor, Tensor] = flows.AffineConstFlow.forward(self, z)
        return result

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        if self.training and not self.data_dep_init_done:
            self._initialise(z)
        result: tuple[Tensor, Tensor] = flows.AffineConstFlow.inverse(self, z)
        return result

    @torch.no_grad()
    def _initialise(self, z: Tensor) -> None:
        mean = z.mean((0, 2, 3), keepdim=True)
        std = (z - mean).square().mean((0, 2, 3), keepdim=True).sqrt()
        self.s.copy_(torch.where(std > 1e-5, std, torch.ones_like(std)).log())
        self.t.copy_(mean)
        self.data_dep_init_done.fill_(1.0)


class _PureShift(transforms.Shift):  # type: ignore[misc]
    """A shift that leaves the caller's tensor unchanged; normflows' own adds in place."""

    def forward(self, z: Tensor) -> tuple[Tensor, int]:
        return z - self.shift, 0

    def inverse(self, z: Tensor) -> tuple[Tensor, int]:
        return z + self.shift, 0


def _parts(shape: Shape, mode: SplitMode) -> tuple[int, int]:
    """Return the channels of the part that determines the map, and of the part that moves."""
    if "checkerboard" in mode:
        return shape.channels, shape.channels
    if shape.channels < 2:
        raise ShapeError(f"a coupling of channels needs 2 or more, got {shape.channels}")
    few, many = shape.channels // 2, shape.channels - shape.channels // 2
    return (many, few) if mode == "channel" else (few, many)


def _quietly(make: Callable[[], T]) -> T:
    """Construct a layer that calls torch.lu, without the deprecation warning, which users cannot avoid."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.lu is deprecated")
        return make()


def _affine_const(shape: Shape, scale: bool, shift: bool) -> nn.Module:
    made: nn.Module = flows.AffineConstFlow((shape.channels, 1, 1), scale, shift)
    return made


def _act_norm(shape: Shape) -> nn.Module:
    return _SafeActNorm((shape.channels, 1, 1))


def _conv1x1(num_channels: int, use_lu: bool) -> nn.Module:
    made: nn.Module = _quietly(lambda: flows.Invertible1x1Conv(num_channels, use_lu))
    return made


_add = functools.partial(adapt, NormflowsLayer, __name__)
_add(
    "normflows/affine_const",
    "y = (x - t) * exp(-s), a learned scale and shift per channel; starts as the identity.",
    _affine_const,
    {"scale": True, "shift": True},
)
_add(
    "normflows/act_norm",
    "`normflows/affine_const`, initialised by the first forward pass in training.\n\n"
    "normflows alone initialises in eval as well, and from noise if it samples first.",
    _act_norm,
)
_add(
    "normflows/invertible1x1_conv",
    "A learned mixing of channels, y = W x at every pixel; with `use_lu`, W = P L (U + diag(s)).",
    _conv1x1,
    {"use_lu": False},
)
_add(
    "normflows/permute",
    "The channels in a random order, or (`swap`) the two halves exchanged.",
    flows.Permute,
    {"mode": Typed(Literal["shuffle", "swap"], "shuffle")},
)
_add(
    "normflows/logit",
    "logit(alpha + (1 - 2 alpha) x): takes values in [0, 1].",
    transforms.Logit,
    {"alpha": 0.05},
    unit=True,
)
_add("normflows/shift", "y = x + shift, fixed.", _PureShift, {"shift": -0.5})
