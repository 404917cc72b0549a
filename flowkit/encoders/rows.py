"""An encoder from the top of a page to its foot: rows in, rows of features out, and nothing computed twice.

A U-Net sees far. Cut into tiles, a page pays for the overlap with its neighbours several times over; as a
stream of full-width rows, every layer keeps the few rows that its next ones need, and no more.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RowStream(Protocol):
    """What `Encoder.stream` returns: one page on its way through an encoder."""

    def push(self, rows: Tensor, *, last: bool) -> dict[int, Tensor]:
        """Take the image's next rows (B, C, r, W); return what is ready at each stride, (B, C', r', W').

        Rows put one below the other, in and out, are the image and the encoder's features. Every call but
        the last takes a multiple of `Encoder.multiple` rows; some give none.
        """
        ...


def below(upper: Tensor, lower: Tensor) -> Tensor:
    """Rows (B, C, r, W) with others below them, in the memory format of both."""
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
        """Take the next rows (B, C, r, W); return those that whole windows see, if there are any."""
        nothing = rows.new_zeros(rows.shape[0], rows.shape[1], self.size // 2, rows.shape[3])
        nothing = nothing.contiguous(memory_format=torch.channels_last)  # or the whole would not be
        rows = below(nothing if self.held is None else self.held, rows)
        if last:
            rows = below(rows, nothing)
        count = max(0, (rows.shape[2] - self.size) // self.step + 1)
        self.held = rows[:, :, count * self.step :].clone()
        return rows[:, :, : (count - 1) * self.step + self.size] if count else None


class ConvolutionRows:
    """A 3x3 convolution padded by one, of stride 1 or 2, and what is applied to each of its values.

    Args:
        block: the convolution, then modules that work value by value (in eval mode).
    """

    def __init__(self, block: nn.Sequential) -> None:
        convolution, *self.after = block
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.kernel_size == (3, 3)
        assert convolution.padding == (1, 1)
        self.convolution = convolution
        self.step = convolution.stride[0]
        self.window = Window(3, self.step)

    def push(self, rows: Tensor, *, last: bool) -> Tensor:
        """(B, C, r, W) -> (B, C', r', W / stride)."""
        seen = self.window.push(rows, last=last)
        if seen is None:
            width = (rows.shape[3] - 1) // self.step + 1
            return rows.new_empty(rows.shape[0], self.convolution.out_channels, 0, width)
        weight, bias = self.convolution.weight, self.convolution.bias
        out = F.conv2d(seen, weight, bias, stride=self.step, padding=(0, 1))
        for module in self.after:
            out = module(out)
        return out


class Queue:
    """Rows that wait for those of another branch."""

    def __init__(self) -> None:
        self.rows: Tensor | None = None

    def __len__(self) -> int:
        return 0 if self.rows is None else self.rows.shape[2]

    def put(self, rows: Tensor) -> None:
        """Append rows (B, C, r, W)."""
        self.rows = rows if self.rows is None else below(self.rows, rows)

    def take(self, count: int) -> Tensor:
        """Remove the first `count` rows."""
        assert self.rows is not None
        taken, self.rows = self.rows[:, :, :count], self.rows[:, :, count:].clone()
        return taken


class ResidualRows:
    """relu(x + second(first(x))) for two convolutions of stride 1."""

    def __init__(self, first: nn.Sequential, second: nn.Sequential) -> None:
        self.first = ConvolutionRows(first)
        self.second = ConvolutionRows(second)
        self.inputs = Queue()

    def push(self, rows: Tensor, *, last: bool) -> Tensor:
        """(B, C, r, W) -> (B, C, r', W)."""
        self.inputs.put(rows)
        out = self.second.push(self.first.push(rows, last=last), last=last)
        return torch.relu(self.inputs.take(out.shape[2]) + out)


class SumRows:
    """A fine grid plus a coarse one with every cell doubled; the last may stick out of an odd side."""

    def __init__(self) -> None:
        self.fine = Queue()
        self.coarse = Queue()

    def push(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(B, C, r, W) and (B, C, r', ceil(W / 2)) -> (B, C, r'', W)."""
        self.fine.put(fine)
        if coarse.shape[2]:
            doubled = F.interpolate(coarse, scale_factor=2, mode="nearest")
        else:  # which interpolation refuses
            doubled = coarse.repeat(1, 1, 1, 2)
        self.coarse.put(doubled[..., : fine.shape[3]])
        count = min(len(self.fine), len(self.coarse))
        return self.fine.take(count) + self.coarse.take(count)
