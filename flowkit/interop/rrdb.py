"""RRDB weights of other programs: ESRGAN (both its names), BasicSR, Real-ESRGAN, SRFlow."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.checkpoint import check_numbers
from flowkit.encoders.dense_block import SLOPE
from flowkit.encoders.rrdb import RRDB, LongSkip
from flowkit.errors import CheckpointError, ShapeError
from flowkit.interop.rrdb_names import HEAD, Scheme, recognise
from flowkit.interop.state_dict import read_state, refuse_unknown

WeightSource = str | os.PathLike[str] | Mapping[str, Any]

WHAT = "RRDB weights"
SRFLOW = "RRDB."  # before the names of an RRDB that is part of a whole SRFlow


@dataclass(frozen=True)
class Weights:
    """An RRDB network's weights under flowkit's names, with upsampling (see `Scheme`) and image head.

    Attributes:
        tensors: name -> weight.
        scheme: how the file names them.
        prefix: what it puts before the names.
        blocks: depth of the trunk.
        ups: octaves that the network upsamples by.
    """

    tensors: dict[str, Tensor]
    scheme: Scheme
    prefix: str
    blocks: int
    ups: int

    def channels(self, name: str) -> tuple[int, int]:
        """Return outputs and inputs of a convolution.

        Raises:
            CheckpointError: it is missing, or no convolution.
        """
        key = f"{name}.weight"
        shape = tuple(self.tensors[key].shape) if key in self.tensors else (0, 0, 3, 3)
        self.take(key, (*shape[:2], 3, 3))
        return shape[0], shape[1]

    def take(self, name: str, shape: tuple[int, ...], hint: str = "") -> Tensor:
        """Return a weight of this shape.

        Raises:
            CheckpointError: it is missing, of another shape, or not of finite floating-point numbers.
        """
        if name not in self.tensors:
            raise CheckpointError(f'{WHAT}: weight "{self.spell(name)}" is missing')
        found = tuple(self.tensors[name].shape)
        if found != shape:
            raise CheckpointError(f'{WHAT}: weight "{self.spell(name)}" is {found}, expected {shape}{hint}')
        check_numbers(self.tensors[name], f'{WHAT}: weight "{self.spell(name)}"')
        return self.tensors[name]

    def spell(self, name: str) -> str:
        """Return the name of a weight in the file, whether or not the file has it."""
        blocks, ups = self.blocks, self.ups
        module, number, *_ = name.split(".")
        if module == "trunk":
            blocks = max(blocks, int(number) + 1)
        elif module == "up":
            ups = max(ups, int(number))
        return self.prefix + self.scheme.weights(blocks, ups)[name]

    @property
    def unshuffle(self) -> int:
        """Return the side of the squares of pixels that the first convolution takes as channels."""
        if "conv_last.weight" not in self.tensors:
            return 1
        inputs, image = self.channels("first")[1], self.channels("conv_last")[0]
        return next((side for side in (2, 4) if inputs == side**2 * image), 1)


def load_rrdb(source: WeightSource, encoder: RRDB | None = None, long_skip: LongSkip | None = None) -> RRDB:
    """Fill an RRDB encoder with the weights of another program, or build the encoder that fits them.

    Understands ESRGAN's names (old: `model.1.sub.0.RDB1.conv1.0.weight`, new: `RRDB_trunk...`), BasicSR's and
    Real-ESRGAN's (`body...`, wrapped in `params_ema` or `params` or bare) and SRFlow's (prefix `RRDB.`; the
    flow beside it is passed over). Depth, width and growth come from the weights.

    A given encoder must have promised its strides before: every convolution that it upsamples by is filled.
    A new one stacks no blocks, and provides the trunk's stride and all finer ones that the weights reach. The
    image head is no encoder's part and is left out; see `load_rrdb_net`.

    An encoder that unshuffles squares of pixels into channels, as `rrdb` does for scale 1, may be given
    weights for the image itself. Its first convolution then reads the mean of each square: the features are
    those that the weights give for the image reduced by averaging, and on a constant image nothing changes.
    With `unshuffle: 1` the encoder reads the image at full resolution, as the weights were trained.

    Args:
        source: a file (.pth, .safetensors), or names and tensors.
        encoder: what to fill, all or nothing.
        long_skip: set it in the encoder; `first` for weights of ESRGAN's family, `trunk` for SRFlow's, and no
            name tells the two apart. If not given, a new encoder has `first`, and another keeps its own.

    Raises:
        CheckpointError: no RRDB's weights, or another encoder's; the first weight in question is named.
    """
    weights = read_weights(source)
    if encoder is None:
        encoder = _encoder_of(weights, "first")
        for octave in range(weights.ups + 1):
            encoder.provide(encoder.stride // 2**octave)
    fill_encoder(encoder, weights)
    if long_skip is not None:
        encoder.long_skip = long_skip
    return encoder


class RRDBNet(nn.Module):
    """A whole super-resolution network of ESRGAN's family: the encoder and its image head.

    Attributes:
        scale: output pixels per image pixel.
    """

    def __init__(self, encoder: RRDB, out_channels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.scale = encoder.scale
        self.conv_hr = nn.Conv2d(encoder.width, encoder.width, 3, padding=1)
        self.conv_last = nn.Conv2d(encoder.width, out_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, C, h, w), values in [0, 1], to the enlarged image (B, C', scale h, scale w), not clipped.

        Raises:
            ShapeError: other channels, or a size that cannot be unshuffled.
        """
        c, multiple = self.encoder.in_channels, self.encoder.unshuffle
        if image.dim() != 4 or image.shape[1] != c or image.shape[2] % multiple or image.shape[3] % multiple:
            sizes = f", H and W multiples of {multiple}" if multiple > 1 else ""
            raise ShapeError(f"expected an image (B, {c}, H, W){sizes}, got {tuple(image.shape)}")
        features = self.encoder(image)[1][:, : self.encoder.width]
        result: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(features), SLOPE))
        return result


def load_rrdb_net(source: WeightSource, long_skip: LongSkip = "first") -> RRDBNet:
    """Build the super-resolution network of its authors: the same weights with their image head.

    Args:
        source: as for `load_rrdb`.
        long_skip: as for `load_rrdb`.

    Raises:
        CheckpointError: not an RRDB's weights, or without a head.
    """
    weights = read_weights(source)
    net = RRDBNet(_encoder_of(weights, long_skip), weights.channels("conv_last")[0])
    net.encoder.provide(1)
    fill_encoder(net.encoder, weights)
    for name in HEAD:
        convolution = getattr(net, name)
        own = {part: tuple(value.shape) for part, value in convolution.state_dict().items()}
        convolution.load_state_dict({part: weights.take(f"{name}.{part}", own[part]) for part in own})
    return net.eval()


def read_weights(source: WeightSource) -> Weights:
    """Read an RRDB's weights, from any of the programs that `load_rrdb` knows.

    Raises:
        CheckpointError: something in it is no RRDB's; the first such name is given.
    """
    found = read_state(source)
    prefix = SRFLOW if any(name.startswith(SRFLOW) for name in found) else ""
    state = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    scheme = recognise(state)
    # Fewer names than blocks cannot be complete, however large a number is in one of them.
    blocks = max(1, min(scheme.blocks(state), len(state)))
    ups = min(scheme.ups(state), len(state))
    names = scheme.weights(blocks, ups)
    known = set(names.values())
    refuse_unknown((prefix + name for name in state if name not in known), WHAT)
    tensors = {our: state[name] for our, name in names.items() if name in state}
    return Weights(tensors, scheme, prefix, blocks, ups)


def fill_encoder(encoder: RRDB, weights: Weights) -> None:
    """Give an encoder its weights, without the head and without upsampling that it does not use.

    Raises:
        CheckpointError: a weight is missing, of another shape, or of a block that the encoder does not have.
    """
    filled = {}
    for name, own in encoder.state_dict().items():
        if name == "first.weight":
            filled[name] = _first(encoder, weights)
        else:  # ours are named by the stride that they make, theirs are counted from the coarsest
            filled[name] = weights.take(_counted(name, encoder.stride), tuple(own.shape))
    if weights.blocks > len(encoder.trunk):
        extra = weights.spell(f"trunk.{len(encoder.trunk)}.dense.0.convs.0.weight")
        raise CheckpointError(f'{WHAT}: weight "{extra}" is of a block that the encoder does not have')
    encoder.load_state_dict(filled)


def _first(encoder: RRDB, weights: Weights) -> Tensor:
    """Take the first convolution, spread over squares of pixels where the encoder unshuffles more."""
    own = tuple(encoder.first.weight.shape)
    channels = weights.channels("first")[1]
    side = math.isqrt(channels // encoder.in_channels)
    factor = encoder.unshuffle // side if side else 0
    if factor < 2 or channels != encoder.in_channels * side**2 or factor * side != encoder.unshuffle:
        side = encoder.unshuffle
        hint = f"; this encoder unshuffles pixels, {side} x {side}, into channels (option unshuffle)"
        return weights.take("first.weight", own, hint if encoder.unshuffle > 1 else "")
    whole = weights.take("first.weight", (own[0], channels, *own[2:]))
    squares = whole.reshape(own[0], encoder.in_channels, side, side, *own[2:])
    spread = squares.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    return spread.flatten(1, 3) / factor**2


def _encoder_of(weights: Weights, long_skip: LongSkip) -> RRDB:
    features, channels = weights.channels("first")
    growth, _ = weights.channels("trunk.0.dense.0.convs.0")
    scale = 2**weights.ups // weights.unshuffle
    if scale < 1:
        raise CheckpointError(
            f"{WHAT}: its image head makes the image smaller, which no network is known to do"
        )
    return RRDB(
        in_channels=channels // weights.unshuffle**2,
        scale=scale,
        features=features,
        growth=growth,
        blocks=weights.blocks,
        stack=(),
        long_skip=long_skip,
        unshuffle=weights.unshuffle,
    )


def _counted(name: str, stride: int) -> str:
    """Number the upsampling of a weight: `up.2.bias`, for stride 2, of a trunk at stride 8 is the second."""
    if not name.startswith("up."):
        return name
    _, octave, part = name.split(".")
    return f"up.{(stride // int(octave)).bit_length() - 1}.{part}"
