"""The RRDB encoder: ESRGAN's trunk, read at several depths, as SRFlow conditions its flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.encoders.base import Encoder, check_image_options
from flowkit.encoders.dense_block import SLOPE, ResidualBlock, in_rows
from flowkit.encoders.rrdb_rows import RRDBRows
from flowkit.errors import ShapeError
from flowkit.layers import Shape
from flowkit.layers.features import Features, PartlyCoarse, dense
from flowkit.ops.tracing import transformed
from flowkit.registry import register

LongSkip = Literal["first", "trunk"]

CUBIC = 2  # pixels from which bicubic interpolation sees


@register("rrdb")
class RRDB(Encoder):
    """Residual-in-residual dense blocks (Wang et al., ESRGAN, arXiv:1809.00219), read as SRFlow reads them.

    The trunk runs on one grid: the image's own, or that of the image with squares of pixels unshuffled into
    channels; for scale 1 these are 2x2, so that the trunk's grid IS the latent grid of a one-level flow and
    nothing is resized. At the trunk's stride the features are the trunk's output and, stacked behind it, the
    outputs of some of its blocks; at finer strides they are upsampled (with one convolution per octave for
    the trunk's output, by nearest neighbour for the stack), at coarser ones reduced (bilinear, and nearest).

    Args:
        in_channels: channels of the image.
        scale: target pixels per image pixel. Features are on grids that are 2, 4, ... times as fine or as
            coarse as the trunk's: for scale 3, at strides 3, 6, 12, ..., for a flow that begins with
            `{type: squeeze, factor: 3}`.
        features: width of the trunk.
        growth: channels that each convolution of a dense block adds.
        blocks: depth of the trunk.
        stack: which blocks' outputs are stacked, counted from 0.
        long_skip: where the skip around the trunk starts: `first`, the first convolution (ESRGAN and its
            weights), or `trunk`, the trunk's output (SRFlow's released networks).
        unshuffle: side of the squares of pixels that become channels before the trunk; 1 for none. By default
            2 for scale 1, and 1 for all others.
        enlarged: whether the features at stride 1 are the image itself, enlarged by bicubic interpolation,
            for the layer `subtract`; otherwise they are the trunk's, as at all other strides.

    Raises:
        ShapeError: an option is out of its limits, or `stack` names a block that does not exist.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        scale: int = 4,
        features: int = 64,
        growth: int = 32,
        blocks: int = 23,
        stack: Sequence[int] = (1, 8, 15, 22),
        long_skip: LongSkip = "first",
        unshuffle: int | None = None,
        enlarged: bool = False,
    ) -> None:
        super().__init__()
        check_image_options(in_channels, scale)
        if unshuffle is not None and (unshuffle < 1 or unshuffle & (unshuffle - 1)):
            raise ShapeError(f"unshuffle must be 1, 2, 4, 8, ..., got {unshuffle}")
        for name, value in (("features", features), ("growth", growth), ("blocks", blocks)):
            if value < 1:
                raise ShapeError(f"{name} must be positive, got {value}")
        if any(not 0 <= block < blocks for block in stack):
            raise ShapeError(f"stack counts blocks from 0 to {blocks - 1}, got {list(stack)}")
        self.in_channels = in_channels
        self.scale = scale
        self.unshuffle = unshuffle or (2 if scale == 1 else 1)
        self.stride = scale * self.unshuffle
        self.stack = tuple(stack)
        self.long_skip: LongSkip = long_skip
        self.enlarged = enlarged
        self.width = features
        self.first = nn.Conv2d(in_channels * self.unshuffle**2, features, 3, padding=1)
        self.trunk = nn.ModuleList(ResidualBlock(features, growth) for _ in range(blocks))
        self.last = nn.Conv2d(features, features, 3, padding=1)
        self.up = nn.ModuleDict()
        self.strides: set[int] = set()
        self.multiple = self.grid = self.unshuffle
        self.reach = (2 + 15 * blocks) * self.unshuffle

    def provide(self, stride: int) -> Shape:
        """Promise features at any octave of the trunk's stride; finer ones add one convolution per octave.

        Raises:
            ShapeError: the stride is not an octave of the trunk's.
        """
        finest = self.stride // (self.stride & -self.stride)  # halved as often as it can be
        octaves, rest = divmod(stride, finest)
        if stride < 1 or rest or octaves & (octaves - 1):
            raise self._refuse(stride, [finest << octave for octave in range(4)])
        self.strides.add(stride)
        if self._is_image(stride):
            self.tail = max(self.tail, CUBIC)
            return Shape(self.in_channels, stride)
        octave = self.stride // 2
        while octave >= stride:
            if str(octave) not in self.up:
                self.up[str(octave)] = nn.Conv2d(self.width, self.width, 3, padding=1)
                self.reach += self.unshuffle
            octave //= 2
        self.tail = max(self.tail, len(self.up) * self.unshuffle)
        coarsest = max(self.strides) // self.scale
        self.multiple = self.grid = max(self.unshuffle, coarsest)
        return Shape(self.width * (1 + len(self.stack)), stride)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Compute the features at every promised stride."""
        return {stride: dense(features) for stride, features in self.features(image).items()}

    def features(self, image: Tensor) -> Mapping[int, Features]:
        """Compute the features, partly coarse; see `Encoder.features`."""
        x = F.pixel_unshuffle(image, self.unshuffle) if self.unshuffle > 1 else image
        first = self.first(x)
        traced = torch.compiler.is_compiling() or transformed()
        if torch.is_grad_enabled() or traced or first.device.type != "cpu":
            hidden, stacked = first, []
            for i, block in enumerate(self.trunk):
                hidden = block(hidden)
                if i in self.stack:
                    stacked.append(hidden)
        else:
            first = first.contiguous(memory_format=torch.channels_last)
            *stacked, hidden = in_rows(self.trunk, first, [*sorted(set(self.stack)), len(self.trunk) - 1])
        start = first if self.long_skip == "first" else hidden
        stack = torch.cat(stacked, dim=1) if stacked else None
        return self._at_all(start + self.last(hidden), stack, lambda: image)

    def stream(self) -> RRDBRows | None:
        """Start to encode a page row by row, on a CPU; see `Encoder.stream`."""
        if self.first.weight.device.type != "cpu":
            return None
        return RRDBRows(
            self.first,
            list(self.trunk),
            self.last,
            stack=self.stack,
            skip_trunk=self.long_skip == "trunk",
            unshuffle=self.unshuffle,
            stride=self.stride,
        )

    def complete(self, streamed: dict[int, Tensor], image: Callable[[], Tensor]) -> Mapping[int, Features]:
        """Bring the trunk's features to every promised stride; see `Encoder.complete`."""
        trunk = streamed[self.stride]
        own, stack = (trunk[:, : self.width], trunk[:, self.width :]) if self.stack else (trunk, None)
        return self._at_all(own, stack, image)

    def _at_all(
        self, trunk: Tensor, stack: Tensor | None, image: Callable[[], Tensor]
    ) -> dict[int, Features]:
        """Return the features at every promised stride from those at the trunk's."""
        own = {self.stride: trunk}
        for octave in sorted((int(key) for key in self.up), reverse=True):
            finer = F.interpolate(own[2 * octave], scale_factor=2, mode="nearest")
            # The activation comes last, as in SRFlow: the flow is conditioned on the values that ESRGAN goes
            # on with.
            own[octave] = F.leaky_relu(
                self.up[str(octave)](finer), SLOPE, inplace=not torch.is_grad_enabled()
            )
        return {
            stride: self._enlarge(image()) if self._is_image(stride) else self._at(stride, own, stack)
            for stride in sorted(self.strides)
        }

    def _is_image(self, stride: int) -> bool:
        return self.enlarged and stride == 1

    def _enlarge(self, image: Tensor) -> Tensor:
        # `antialias` has no effect on an enlargement, except that the kernel is Pillow's, and ramps stay
        # ramps.
        return F.interpolate(image, scale_factor=self.scale, mode="bicubic", antialias=True)

    def _at(self, stride: int, own: dict[int, Tensor], stack: Tensor | None) -> Features:
        factor = self.stride / stride
        if stride in own:
            mine = own[stride]
        else:
            mine = F.interpolate(own[self.stride], scale_factor=factor, mode="bilinear", align_corners=False)
        if stack is None:
            return mine
        if factor > 1:
            coarse = stack if factor == 2 else F.interpolate(stack, scale_factor=factor / 2, mode="nearest")
            return PartlyCoarse(mine, coarse)
        if factor < 1:
            stack = F.interpolate(stack, scale_factor=factor, mode="nearest")
        return torch.cat([mine, stack], dim=1)
