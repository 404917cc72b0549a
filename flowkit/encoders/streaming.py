"""Streaming encoders: rows of a page in, rows of features out, from top to bottom, nothing computed twice.

A U-Net has a wide view. If a page is cut into tiles, their overlaps are computed several times; in a stream
of full-width rows, every layer keeps only the few rows that its next ones need.
"""

from __future__ import annotations

import functools
import math
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from flowkit.ops.convolution import convolve_relu

BAND = 128
"""Most image rows to stream at a time: enough work for every layer, and little enough for the caches."""

_WIDE = 3600  # image columns; wider pages are streamed in fewer rows

PIECE = 32
"""Most rows of a grid to decode at a time, since many rows become ready together at the end of a page."""


class RowStream:
    """The encoding of one page, row by row, as `Encoder.stream` returns it.

    Attributes:
        stages: functions, each of which takes what the one before returned; the first takes the next rows
            (B, C, r, W) and whether they are the last, the last one returns what `push` does. Each is
            called in the order of the rows, but different ones may work on different rows at a time.
    """

    stages: Sequence[Callable[[Any], Any]]

    def band(self, width: int) -> int:
        """Return how many rows of so many image columns are best streamed at a time, up to `multiple`.

        >>> [RowStream().band(width) for width in (2480, 4960, 9000)]
        [128, 64, 32]
        """
        return BAND >> max(0, min(2, math.ceil(math.log2(width / _WIDE))))

    def push(self, rows: Tensor, *, last: bool) -> dict[int, list[Tensor]]:
        """Take the next rows (B, C, r, W); return, for each stride, pieces (B, C', r', W') that are ready.

        Put one below the other, the rows that go in are the image, and those that come out the encoder's
        features. Every call but the last takes a multiple of `Encoder.multiple` rows; some return none.
        """
        value: Any = rows, last
        for stage in self.stages:
            value = stage(value)
        ready: dict[int, list[Tensor]] = value
        return ready


def below(upper: Tensor, lower: Tensor) -> Tensor:
    """Append other rows below rows (B, C, r, W), in the memory format of both."""
    if upper.shape[2] == 0 or lower.shape[2] == 0:  # no rows have no format, and would decide on it
        return lower if upper.shape[2] == 0 else upper
    return torch.cat([upper, lower], dim=2)


class Window:
    """A window of some rows that slides down a page with zeros above and below.

    Args:
        size: its rows; odd. The first one is centred on the page's first row.
        step: rows from one to the next.
    """

    def __init__(self, size: int, step: int = 1) -> None:
        self.size = size
        self.step = step
        self.held: Tensor | None = None  # rows that the next window needs

    def push(self, rows: Tensor, *, last: bool) -> Tensor | None:
        """Take the next rows (B, C, r, W); return those of complete windows, if there are any."""
        nothing = rows.new_zeros(rows.shape[0], rows.shape[1], self.size // 2, rows.shape[3])
        nothing = nothing.contiguous(memory_format=torch.channels_last)  # or the whole would not be
        rows = below(nothing if self.held is None else self.held, rows)
        if last:
            rows = below(rows, nothing)
        count = max(0, (rows.shape[2] - self.size) // self.step + 1)
        self.held = rows[:, :, count * self.step :].clone()
        return rows[:, :, : (count - 1) * self.step + self.size] if count else None


class ConvolutionRows:
    """A relu of a 3x3 convolution padded by one, of stride 1 or 2.

    Args:
        block: the convolution, and its normalisation by constants, which goes into the weights.
    """

    def __init__(self, block: nn.Sequential) -> None:
        convolution, norm, *_ = block
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.kernel_size == (3, 3)
        assert convolution.padding == (1, 1)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        self.convolution, self.norm = convolution, norm
        self.step = convolution.stride[0]
        self.window = Window(3, self.step)

    @functools.cached_property  # a stream may be started to see whether there is one
    def constants(self) -> tuple[Tensor, Tensor]:
        """Weight and bias, with the normalisation in them."""
        return _folded(self.convolution, self.norm)

    def push(self, rows: Tensor, *, last: bool, beside: Queue | None = None) -> Tensor:
        """Take the next rows (B, C, r, W); return those that are ready, (B, C', r', W / stride).

        The next rows of `beside` are added before the relu.
        """
        kind = rows.device.type
        if torch.is_autocast_enabled(kind):
            rows = rows.to(torch.get_autocast_dtype(kind))
        seen = self.window.push(rows, last=last)
        if seen is None:
            width = (rows.shape[3] - 1) // self.step + 1
            return rows.new_empty(rows.shape[0], self.convolution.out_channels, 0, width)
        plus = None if beside is None else beside.take((seen.shape[2] - 3) // self.step + 1)
        return convolve_relu(seen, *self.constants, stride=self.step, padding=(0, 1), plus=plus)


class _Folding(NamedTuple):
    """The tensors that were folded, and the weight and bias that came out."""

    sources: tuple[Tensor, ...]
    constants: tuple[Tensor, Tensor]


_foldings: weakref.WeakKeyDictionary[nn.Conv2d, _Folding] = weakref.WeakKeyDictionary()


@torch.no_grad()
def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Fold a normalisation into a convolution; done once for all streams of an encoder, until it changes."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    given = (convolution.weight, convolution.bias, norm.weight, norm.bias, mean, variance)
    sources = tuple(tensor.detach() for tensor in given if tensor is not None)
    known = _foldings.get(convolution)
    if known is None or not all(map(_same, known.sources, sources)):
        constants = fuse_conv_bn_weights(
            convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
        )
        copies = tuple(tensor.clone() for tensor in sources)
        _foldings[convolution] = known = _Folding(copies, constants)
    return known.constants


def _same(one: Tensor, other: Tensor) -> bool:
    return (one.device, one.dtype) == (other.device, other.dtype) and torch.equal(one, other)


class Queue:
    """Rows that wait for another branch, in the blocks in which they came, since joining would copy them."""

    def __init__(self) -> None:
        self.blocks: deque[Tensor] = deque()

    def __len__(self) -> int:
        return sum(block.shape[2] for block in self.blocks)

    def put(self, rows: Tensor) -> None:
        """Append rows (B, C, r, W)."""
        if rows.shape[2]:
            self.blocks.append(rows)

    def take(self, count: int) -> Tensor:
        """Remove the first `count` rows, 1 or more."""
        taken = []
        while count:
            block = self.blocks.popleft()
            if block.shape[2] > count:
                self.blocks.appendleft(block[:, :, count:])
                block = block[:, :, :count]
            taken.append(block)
            count -= block.shape[2]
        return taken[0] if len(taken) == 1 else torch.cat(taken, dim=2)

    def shrink(self) -> None:
        """Copy what is left of blocks, so that nothing else is kept in memory."""
        self.blocks = deque(
            block.clone() if block.nbytes < block.untyped_storage().nbytes() else block
            for block in self.blocks
        )


class ResidualRows:
    """relu(x + second(first(x))) for two convolutions of stride 1."""

    def __init__(self, first: nn.Sequential, second: nn.Sequential) -> None:
        self.first = ConvolutionRows(first)
        self.second = ConvolutionRows(second)
        self.inputs = Queue()

    def push(self, rows: Tensor, *, last: bool) -> Tensor:
        """Take the next rows (B, C, r, W); return those that are ready, (B, C, r', W)."""
        self.inputs.put(rows)
        return self.second.push(self.first.push(rows, last=last), last=last, beside=self.inputs)


class SumRows:
    """The sum of a fine grid and a coarse one with doubled cells; the last cell may exceed an odd side."""

    def __init__(self) -> None:
        self.fine = Queue()
        self.coarse = Queue()

    def pieces(self, *, last: bool) -> Iterator[tuple[Tensor, bool]]:
        """Yield ready rows, at most PIECE at a time: (B, C, r, W), and whether the page ends there."""
        count = min(len(self.fine), 2 * len(self.coarse))
        while count >= (1 if last else 2):
            rows = min(count, PIECE) // 2 * 2 or 1  # halves of doubled cells are left for the next
            fine, coarse = self.fine.take(rows), self.coarse.take((rows + 1) // 2)
            doubled = F.interpolate(coarse, scale_factor=2, mode="nearest")
            count -= rows
            yield fine + doubled[:, :, :rows, : fine.shape[3]], last and not count
