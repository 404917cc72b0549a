"""ESRGAN's dense blocks, for whole images and for bands of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.encoders.streaming import Queue

SLOPE = 0.2  # of every leaky ReLU
RESIDUAL = 0.2  # share of a block's output that is added to its input

LANES = 32
"""Channels that processors with matrix tiles (AMX) multiply together: 32 take them less time than 24."""

AT_ONCE = 64
"""Rows of a band: more do not fit into the caches, fewer cost more calls."""


class DenseBlock(nn.Module):
    """Five 3x3 convolutions, each reading all before it; a fifth of the last is added to the input."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        outs = [growth] * 4 + [features]
        self.convs = nn.ModuleList(
            nn.Conv2d(features + i * growth, out, 3, padding=1) for i, out in enumerate(outs)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C, h, w)."""
        seen = inputs
        for convolution in self.convs[:4]:
            seen = torch.cat([seen, F.leaky_relu(convolution(seen), SLOPE)], dim=1)
        last: Tensor = self.convs[4](seen)
        return inputs + RESIDUAL * last


class ResidualBlock(nn.Module):
    """Residual in residual: three dense blocks and a skip around them (an RRDB)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(DenseBlock(features, growth) for _ in range(3)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C, h, w)."""
        change: Tensor = self.dense(inputs)
        return inputs + RESIDUAL * change


def in_rows(blocks: Iterable[nn.Module], inputs: Tensor, wanted: Sequence[int]) -> list[Tensor]:
    """Pass (B, C, h, w) through `ResidualBlock`s, without gradients; return the outputs of the wanted ones.

    For CPUs: bands of rows go through all blocks, in the inputs' type and with their channels last, which
    processors convolve quickest. Nothing is computed twice, and few rows are in memory.
    """
    parts = [ResidualBlockRows(block, inputs.dtype) for block in blocks]
    pieces: list[list[Tensor]] = [[] for _ in parts]
    for top in range(0, inputs.shape[2], AT_ONCE):
        rows = inputs[:, :, top : top + AT_ONCE]
        last = top + AT_ONCE >= inputs.shape[2]
        for index, part in enumerate(parts):
            rows = part.push(rows, last=last)
            if index in wanted:
                pieces[index].append(rows)
    return [torch.cat(pieces[index], dim=2) for index in wanted]


class DenseBlockRows:
    """A `DenseBlock` that takes its rows one after the other; what it has computed is copied once.

    Args:
        block: see there.
        dtype: to compute in.
    """

    def __init__(self, block: nn.Module, dtype: torch.dtype) -> None:
        assert isinstance(block, DenseBlock)
        self.convolutions = [(weight.to(dtype), bias.to(dtype)) for weight, bias in _weights(block, dtype)]
        self.held: list[Tensor | None] = [None] * len(self.convolutions)  # above each one's next rows
        self.inputs = Queue()

    def push(self, rows: Tensor, *, last: bool) -> Tensor:
        """Take the next rows (B, C, r, W); return those that are ready."""
        self.inputs.put(rows)
        seen, grown = rows, rows[:, :0]
        for index, (weight, bias) in enumerate(self.convolutions):
            if index:
                F.leaky_relu_(grown, SLOPE)
            window = self._window(index, seen, grown, last=last)
            ready = window.shape[2] - 2
            self.held[index] = window[:, :, max(0, ready) :].clone()
            if ready < 1:
                return rows[:, :, :0]
            seen, grown = window[:, :, 1:-1], F.conv2d(window, weight, bias, padding=(0, 1))
        return _residual(self.inputs, grown)

    def _window(self, index: int, seen: Tensor, grown: Tensor, *, last: bool) -> Tensor:
        """Join what a convolution reads: rows held back, or zeros; the next rows; zeros at the end."""
        held = self.held[index]
        above = 1 if held is None else held.shape[2]
        images, channels, rows, width = seen.shape
        window = torch.empty(
            (images, channels + grown.shape[1], above + rows + last, width),
            dtype=seen.dtype,
            device=seen.device,
            memory_format=torch.channels_last,
        )
        window[:, :, :above] = 0 if held is None else held
        window[:, :channels, above : above + rows] = seen
        window[:, channels:, above : above + rows] = grown
        window[:, :, above + rows :] = 0
        return window


class ResidualBlockRows:
    """A `ResidualBlock` that takes its rows one after the other.

    Args:
        block: see there.
        dtype: to compute in.
    """

    def __init__(self, block: nn.Module, dtype: torch.dtype) -> None:
        assert isinstance(block, ResidualBlock)
        self.dense = [DenseBlockRows(dense, dtype) for dense in block.dense]
        self.inputs = Queue()

    def push(self, rows: Tensor, *, last: bool) -> Tensor:
        """Take the next rows (B, C, r, W); return those that are ready."""
        self.inputs.put(rows)
        for dense in self.dense:
            rows = dense.push(rows, last=last)
        return _residual(self.inputs, rows) if rows.shape[2] else rows


def _residual(inputs: Queue, change: Tensor) -> Tensor:
    """Add a share of the change, in place, to the inputs that have waited for it."""
    torch.add(inputs.take(change.shape[2]), change, alpha=RESIDUAL, out=change)
    inputs.shrink()
    return change


def _weights(block: DenseBlock, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Return weights and biases; for matrix tiles, zeros fill what a convolution adds to LANES channels."""
    found = [_parameters(convolution) for convolution in block.convs]
    growth, features = len(found[0][0]), len(found[-1][0])
    tiled = dtype == torch.bfloat16 and torch.cpu.get_capabilities().get("amx_bf16", False)
    more = -growth % LANES if tiled and growth > LANES // 2 else 0
    if not more:  # no copies, so that a page's memory is measured without them
        return found
    padded = []
    for index, (weight, bias) in enumerate(found):
        of_inputs, of_grown = weight[:, :features], weight[:, features:]
        of_grown = F.pad(torch.unflatten(of_grown, 1, (index, growth)), (0, 0, 0, 0, 0, more)).flatten(1, 2)
        weight = torch.cat([of_inputs, of_grown], dim=1)
        if index < len(found) - 1:
            weight, bias = F.pad(weight, (0, 0, 0, 0, 0, 0, 0, more)), F.pad(bias, (0, more))
        padded.append((weight, bias))
    return padded


def _parameters(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    return convolution.weight, convolution.bias
