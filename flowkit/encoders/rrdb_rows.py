"""The trunk of an RRDB encoder for a page that comes row by row."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.encoders.dense_block import ResidualBlockRows
from flowkit.encoders.streaming import Queue, RowStream, Window

CELLS = 32_768
"""Cells of the trunk's grid to stream at a time: more do not fit into the caches, fewer cost more calls."""

FEWEST, MOST = 8, 128  # rows at a time


@dataclass
class Passing:
    """Rows on their way through the trunk.

    Attributes:
        last: whether the page ends with them.
        rows: after the last block that they have passed.
        first: after the first convolution.
        stacked: after each block whose output is stacked.
    """

    last: bool
    rows: Tensor
    first: Tensor
    stacked: list[Tensor]


class RRDBRows(RowStream):
    """The features of an `RRDB` at its trunk's stride, row by row: its output, and the stack behind it.

    Args:
        first: the convolution before the trunk.
        trunk: its `ResidualBlock`s.
        last: the convolution after it.
        stack: which blocks' outputs are stacked, counted from 0.
        skip_trunk: whether the trunk's own output, and not that of `first`, is added to that of `last`.
        unshuffle: side of the squares of pixels that become channels before `first`.
        stride: of the trunk.
    """

    def __init__(
        self,
        first: nn.Conv2d,
        trunk: Sequence[nn.Module],
        last: nn.Conv2d,
        *,
        stack: Sequence[int],
        skip_trunk: bool,
        unshuffle: int,
        stride: int,
    ) -> None:
        self.first, self.last = _PlainRows(first), _PlainRows(last)
        self.trunk = trunk
        self.stack = set(stack)
        self.skip_trunk = skip_trunk
        self.unshuffle = unshuffle
        self.stride = stride
        self.blocks: dict[int, ResidualBlockRows] = {}
        self.starts = Queue()
        self.stacks = [Queue() for _ in self.stack]
        self.stages = [
            self._begin,
            *(functools.partial(self._pass, index) for index in range(len(trunk))),
            self._end,
        ]

    def band(self, width: int) -> int:
        """Return how many rows of so many image columns are best streamed at a time.

        >>> from flowkit.encoders import RRDB
        >>> [RRDB(blocks=1, stack=[0]).stream().band(width) for width in (100, 512, 9000)]
        [128, 64, 8]
        """
        return self.unshuffle * max(FEWEST, min(MOST, CELLS * self.unshuffle // width))

    def _begin(self, pushed: tuple[Tensor, bool]) -> Passing:
        rows, last = pushed
        if self.unshuffle > 1:
            rows = F.pixel_unshuffle(rows, self.unshuffle)
        first = self.first.push(rows, last=last).contiguous(memory_format=torch.channels_last)
        return Passing(last, first, first, [])

    def _pass(self, index: int, passing: Passing) -> Passing:
        if index not in self.blocks:
            self.blocks[index] = ResidualBlockRows(self.trunk[index], passing.rows.dtype)
        passing.rows = self.blocks[index].push(passing.rows, last=passing.last)
        if index in self.stack:
            passing.stacked.append(passing.rows)
        return passing

    def _end(self, passing: Passing) -> dict[int, list[Tensor]]:
        self.starts.put(passing.rows if self.skip_trunk else passing.first)
        for waiting, rows in zip(self.stacks, passing.stacked, strict=True):
            waiting.put(rows)
        change = self.last.push(passing.rows, last=passing.last)
        count = change.shape[2]
        if not count:
            return {self.stride: []}
        maps = [self.starts.take(count) + change, *(waiting.take(count) for waiting in self.stacks)]
        return {self.stride: [torch.cat(maps, dim=1) if len(maps) > 1 else maps[0]]}


class _PlainRows:
    """A 3x3 convolution padded by one."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        self.convolution = convolution
        self.window = Window(3)

    def push(self, rows: Tensor, *, last: bool) -> Tensor:
        """Take the next rows (B, C, r, W); return those that are ready, (B, C', r', W)."""
        kind = rows.device.type
        if torch.is_autocast_enabled(kind):  # also where no row is ready
            rows = rows.to(torch.get_autocast_dtype(kind))
        seen = self.window.push(rows, last=last)
        if seen is None:
            return rows.new_empty(rows.shape[0], self.convolution.out_channels, 0, rows.shape[3])
        return F.conv2d(seen, self.convolution.weight, self.convolution.bias, padding=(0, 1))
