"""Features of a page that is too large to be encoded at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from flowkit.encoders import Encoder, RowStream
from flowkit.layers.features import Features
from flowkit.malloc import give_back
from flowkit.pages.tiles import Span, Tile, round_up

BAND = 128
"""Most image rows to stream at a time: enough work for every layer, and little enough for the caches."""

_WIDE = 3600  # image columns; wider pages are streamed in fewer rows

Window = Callable[[Span, Span], Tensor]
"""A function from [first, last) of rows and columns of the padded page to (1, C, h, w)."""


def band(width: int, multiple: int) -> int:
    """Return the image rows to stream at a time, a multiple of what the encoder takes.

    >>> band(2480, 2), band(4960, 2), band(9000, 2)
    (128, 64, 32)
    """
    return round_up(BAND >> max(0, min(2, math.ceil(math.log2(width / _WIDE)))), multiple)


class PageFeatures(Protocol):
    """Features of windows of one page."""

    def of(self, tile: Tile) -> Mapping[int, Features]:
        """Return the features of a tile's window at every stride, equal to the whole page's for the core."""
        ...


class WindowFeatures:
    """Features of windows that are encoded separately, with margins of the encoder's reach."""

    def __init__(self, encoder: Encoder, window: Window) -> None:
        self.encoder = encoder
        self.window = window

    def of(self, tile: Tile) -> Mapping[int, Features]:
        """Return the features of a tile's window; see `PageFeatures.of`."""
        return self.encoder.features(self.window(*tile))


class StreamedFeatures:
    """Features of a page that is streamed through the encoder once, from top to bottom, ahead of the tiles.

    Tiles are asked for row by row; one above the last asked for starts the page again.
    """

    def __init__(self, encoder: Encoder, height: int, width: int, window: Window) -> None:
        self.encoder = encoder
        self.size = height, width
        self.window = window
        self._start()

    def of(self, tile: Tile) -> dict[int, Tensor]:
        """Return the features of a tile's window; see `PageFeatures.of`."""
        if any(tile.rows.first < first for first in self.first.values()):
            self._start()
        self._forget(tile.rows.first)  # before more comes, or two rows of tiles would be in memory
        while not self._reached(tile.rows.last):
            self._advance()
            self._forget(tile.rows.first)
        return {stride: self._cut(tile, stride, blocks) for stride, blocks in self.blocks.items()}

    def _cut(self, tile: Tile, stride: int, blocks: list[Tensor]) -> Tensor:
        rows, cols = (
            slice(*((at - start) * self.encoder.scale // stride for at in (span.first, span.last)))
            for span, start in ((tile.rows, self.first[stride]), (tile.cols, 0))
        )
        parts, top = [], 0
        for block in blocks:
            parts.append(block[:, :, max(0, rows.start - top) : max(0, rows.stop - top), cols])
            top += block.shape[2]
        return torch.cat([part for part in parts if part.shape[2]], dim=2)

    def _start(self) -> None:
        stream = self.encoder.stream()
        assert stream is not None
        self.stream: RowStream = stream
        self.read = 0
        # Blocks of rows as they come, not one map: it would have to be copied to grow, and twice in memory.
        self.blocks: dict[int, list[Tensor]] = {}
        self.first: dict[int, int] = {}  # the image row at which a stride's blocks begin

    def _reached(self, last: int) -> bool:
        return bool(self.first) and all(
            first + sum(block.shape[2] for block in self.blocks[stride]) * stride / self.encoder.scale >= last
            for stride, first in self.first.items()
        )

    def _advance(self) -> None:
        height, width = self.size
        stop = min(height, self.read + band(width, self.encoder.multiple))
        rows = self.window(Span(self.read, stop, self.read, stop), Span(0, width, 0, width))
        if stop == height:  # all that the stream held back comes at once
            give_back()
        ready = self.stream.push(rows, last=stop == height)
        self.read = stop
        for stride, pieces in ready.items():
            self.first.setdefault(stride, 0)
            self.blocks.setdefault(stride, []).extend(pieces)

    def _forget(self, first: int) -> None:
        for stride, blocks in self.blocks.items():
            while blocks and (below := self._below(stride, blocks[0])) <= first:
                del blocks[0]
                self.first[stride] = below

    def _below(self, stride: int, block: Tensor) -> int:
        """Return the image row below a stride's first block."""
        return self.first[stride] + block.shape[2] * stride // self.encoder.scale
