"""A light U-Net encoder: a wide view of the page at a small cost."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.encoders.base import Encoder, check_image_options
from flowkit.encoders.contrast import ContrastRows, LocalContrast
from flowkit.encoders.streaming import ConvolutionRows, ResidualRows, RowStream, SumRows
from flowkit.errors import ShapeError
from flowkit.layers import Shape
from flowkit.registry import register

MAX_SCALES = 16  # the coarsest would have one cell for 65,536 pixels


class Residual(nn.Module):
    """x + conv(relu(conv(x))), normalised per channel, then relu: two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C, h, w)."""
        return torch.relu(inputs + self.body(inputs))


@register("unet")
class UNet(Encoder):
    """Residual U-Net on the unshuffled image (Ronneberger et al., arXiv:1505.04597).

    The finest grid has one cell for 2x2 image pixels, and each further width halves the resolution: five
    widths see stains that an RRDB of the same cost cannot. There are features at every scale of the decoder.
    Normalisation uses batch statistics in training and constants afterwards, never statistics of the page, so
    that a tile has the same features as the page.

    Args:
        in_channels: channels of the image.
        scale: target pixels per image pixel: 1, 2, 4, ...
        widths: channels at 1/2, 1/4, 1/8, ... of the image's resolution.
        blocks: residual blocks at each scale, on the way down and on the way up.
        contrast: sides of windows, in cells of 2x2 pixels, whose mean and deviation the network receives
            beside the image, see `LocalContrast`.
        gain: factor of the image's contrast around mid-grey outside of training. Training degrades patches,
            so that they lose contrast; with a gain below 1, a page looks more like them.

    Raises:
        ShapeError: an option is out of its limits.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        scale: int = 1,
        widths: Sequence[int] = (48, 64, 96, 128, 160),
        blocks: int = 1,
        contrast: Sequence[int] = (),
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        check_image_options(in_channels, scale)
        if not widths or min(widths) < 1:
            raise ShapeError(f"widths must be positive numbers, one per scale, got {list(widths)}")
        if len(widths) > MAX_SCALES:
            raise ShapeError(f"widths: {len(widths):,} scales, expected {MAX_SCALES} at most")
        if blocks < 1:
            raise ShapeError(f"blocks must be positive, got {blocks}")
        if not 0 < gain <= 1:
            raise ShapeError(f"gain must be above 0 and at most 1, got {gain}")
        self.in_channels = in_channels
        self.scale = scale
        self.widths = tuple(widths)
        self.gain = gain
        self.strides: set[int] = set()
        self.multiple = 2
        self.grid = 2 ** len(widths)

        def stage(width: int) -> nn.Sequential:
            return nn.Sequential(*(Residual(width) for _ in range(blocks)))

        self.contrast = LocalContrast(in_channels, contrast)
        self.stem = nn.Sequential(_conv(self.contrast.channels, widths[0], 3), stage(widths[0]))
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(nn.Sequential(_conv(a, b, 3, stride=2), stage(b)) for a, b in pairs)
        self.lift = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.merge = nn.ModuleList(stage(a) for a, _ in pairs)
        self.reach = self._reach(blocks)

    def provide(self, stride: int) -> Shape:
        """Promise features at strides 2, 4, 8, ... times the image's own.

        Raises:
            ShapeError: the stride is none of these.
        """
        possible = [self.scale * 2**level for level in range(1, len(self.widths) + 1)]
        if stride not in possible:
            raise self._refuse(stride, possible)
        self.strides.add(stride)
        return Shape(self.widths[possible.index(stride)], stride)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Compute the features at every promised stride."""
        hidden = self.stem(self.contrast(self.cells(image)))
        skips = [hidden]
        for down in self.down:
            hidden = down(hidden)
            skips.append(hidden)
        levels = {len(self.widths): hidden}
        for level in range(len(self.widths) - 1, 0, -1):
            skip = skips[level - 1]
            # Every coarse cell covers 2x2 of the finer grid; the last may extend beyond an odd side.
            coarse = F.interpolate(self.lift[level - 1](hidden), scale_factor=2, mode="nearest")
            hidden = self.merge[level - 1](skip + coarse[..., : skip.shape[2], : skip.shape[3]])
            levels[level] = hidden
        return {stride: levels[(stride // self.scale).bit_length() - 1] for stride in sorted(self.strides)}

    def cells(self, image: Tensor) -> Tensor:
        """Turn (B, C, H, W) in [0, 1] into the network's input (B, 4 C, H/2, W/2), centred at 0."""
        values = (2 * image - 1) * (1.0 if self.training else self.gain)
        if image.shape[2] == 0:  # from a stream without ready rows, which torch would leave as they are
            return values.new_empty(image.shape[0], 4 * image.shape[1], 0, image.shape[3] // 2)
        return F.pixel_unshuffle(values, 2)

    def stream(self) -> RowStream:
        """Start to encode a page row by row; see `Encoder.stream`."""
        return UNetRows(self)

    def _reach(self, blocks: int) -> int:
        """Bound the reach, in image pixels: the cells that each convolution sees, times their size."""
        cells = 1 + 2 * blocks  # the stem's convolution, or the one that halves; then the blocks
        way_down = sum(cells * (1 << level) for level in range(1, len(self.widths) + 1))
        way_up = sum((2 * blocks + 2) * (1 << level) for level in range(1, len(self.widths)))
        return self.contrast.reach + way_down + way_up + 2


@dataclass
class Passing:
    """Rows on their way through the levels.

    Attributes:
        last: whether the page ends with them.
        rows: of the level that they have reached on the way down.
        levels: the rows of every level so far, the finest first.
        pieces: decoded rows of the level that they have reached on the way up.
        ready: features, see `RowStream.push`.
    """

    last: bool
    rows: Tensor
    levels: list[Tensor]
    pieces: list[Tensor]
    ready: dict[int, list[Tensor]]


class UNetRows(RowStream):
    """A `UNet` for a page that comes row by row, level after level; level 1 is the finest."""

    def __init__(self, net: UNet) -> None:
        self.net = net
        self.contrast = ContrastRows(net.contrast)
        self.down = [self._entry(block) for block in (net.stem, *net.down)]
        self.merge = [self._stage(block) for block in net.merge]
        self.sums = [SumRows() for _ in net.merge]
        self.stages = [
            self._begin,
            *(functools.partial(self._descend, level) for level in range(1, len(net.widths) + 1)),
            *(functools.partial(self._ascend, level) for level in range(len(net.merge), 0, -1)),
            lambda passing: passing.ready,
        ]

    def _begin(self, pushed: tuple[Tensor, bool]) -> Passing:
        rows, last = pushed
        cells = self.contrast.push(self.net.cells(rows), last=last)
        cells = cells.contiguous(memory_format=torch.channels_last)
        return Passing(last, cells, [], [], {stride: [] for stride in sorted(self.net.strides)})

    def _descend(self, level: int, passing: Passing) -> Passing:
        for part in self.down[level - 1]:
            passing.rows = part.push(passing.rows, last=passing.last)
        passing.levels.append(passing.rows)
        if level == len(self.net.widths):
            self._decoded(level, [passing.rows], passing)
        return passing

    def _ascend(self, level: int, passing: Passing) -> Passing:
        sums, lift = self.sums[level - 1], self.net.lift[level - 1]
        sums.fine.put(passing.levels[level - 1])
        for coarse in passing.pieces:
            sums.coarse.put(lift(coarse))
        pieces = []
        for merged, end in sums.pieces(last=passing.last):
            for part in self.merge[level - 1]:
                merged = part.push(merged, last=end)
            pieces.append(merged)
        self._decoded(level, pieces, passing)
        return passing

    def _decoded(self, level: int, pieces: list[Tensor], passing: Passing) -> None:
        """Take a level's features as they become ready."""
        passing.pieces = [piece for piece in pieces if piece.shape[2]]
        passing.ready.get(self.net.scale << level, []).extend(passing.pieces)

    def _entry(self, block: nn.Module) -> list[ConvolutionRows | ResidualRows]:
        assert isinstance(block, nn.Sequential)
        convolution, stage = block
        assert isinstance(convolution, nn.Sequential)
        return [ConvolutionRows(convolution), *self._stage(stage)]

    def _stage(self, stage: nn.Module) -> list[ConvolutionRows | ResidualRows]:
        assert isinstance(stage, nn.Sequential)
        halves = [list(block.body.children()) for block in stage if isinstance(block, Residual)]
        return [ResidualRows(nn.Sequential(*half[:3]), nn.Sequential(*half[3:])) for half in halves]


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
