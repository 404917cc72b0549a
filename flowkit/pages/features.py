"""The encoder's features of a page that is too large to be encoded at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from flowkit.encoders import Encoder, RowStream
from flowkit.pages.tiles import Span, Tile, round_up

BAND = 128
"""Image rows that are streamed at a time: enough work for every layer, little enough to stay in caches."""

Window = Callable[[Span, Span], Tensor]
"""A piece of the padded page: [first, last) of rows and columns -> (1, C, h, w)."""


class PageFeatures(Protocol):
    """Features of windows of one page."""

    def of(self, tile: Tile) -> dict[int, Tensor]:
        """Of a tile's window, at every stride: what the encoder would make of the whole page, cut out."""
        ...


def page_features(encoder: Encoder, height: int, width: int, window: Window) -> PageFeatures:
    """The least work that this encoder can be had for, on a page of this (padded) size."""
    if encoder.stream() is not None:
        return StreamedFeatures(encoder, height, width, window)
    return WindowFeatures(encoder, height, width, window)


class WindowFeatures:
    """Every window is encoded with as much around it as the encoder sees."""

    def __init__(self, encoder: Encoder, height: int, width: int, window: Window) -> None:
        self.encoder = encoder
        self.size = height, width
        self.window = window

    def of(self, tile: Tile) -> dict[int, Tensor]:
        """See `PageFeatures.of`."""
        rows, cols = (self._around(span, length) for span, length in zip(tile, self.size, strict=True))
        features: dict[int, Tensor] = self.encoder(self.window(rows, cols))
        return _cut(features, tile, rows.first, cols.first, self.encoder.scale)

    def _around(self, span: Span, length: int) -> Span:
        grid = self.encoder.grid
        around = round_up(self.encoder.reach, grid)
        first = max(0, span.first // grid * grid - around)
        return Span(span.first, span.last, first, min(length, round_up(span.last, grid) + around))


class StreamedFeatures:
    """The page runs through the encoder once, from top to bottom, just ahead of the tiles.

    Tiles are asked for row by row; one above the last asked for starts the page again.
    """

    def __init__(self, encoder: Encoder, height: int, width: int, window: Window) -> None:
        self.encoder = encoder
        self.size = height, width
        self.window = window
        self._start()

    def of(self, tile: Tile) -> dict[int, Tensor]:
        """See `PageFeatures.of`."""
        if tile.rows.first < self.first:
            self._start()
        while not self._reached(tile.rows.last):
            self._advance()
        self._forget(tile.rows.first)
        return _cut(self.maps, tile, self.first, 0, self.encoder.scale)

    def _start(self) -> None:
        stream = self.encoder.stream()
        assert stream is not None
        self.stream: RowStream = stream
        self.first = 0  # the image row at which the features begin
        self.read = 0
        self.maps: dict[int, Tensor] = {}

    def _reached(self, last: int) -> bool:
        if not self.maps:
            return False
        return all(
            self.first + maps.shape[2] * stride / self.encoder.scale >= last
            for stride, maps in self.maps.items()
        )

    def _advance(self) -> None:
        height, width = self.size
        stop = min(height, self.read + round_up(BAND, self.encoder.multiple))
        rows = self.window(Span(self.read, stop, self.read, stop), Span(0, width, 0, width))
        ready = self.stream.push(rows, last=stop == height)
        self.read = stop
        for stride, maps in ready.items():
            known = self.maps.get(stride)
            self.maps[stride] = maps if known is None else torch.cat([known, maps], dim=2)

    def _forget(self, first: int) -> None:
        for stride, maps in self.maps.items():
            above = (first - self.first) * self.encoder.scale // stride
            self.maps[stride] = maps[:, :, above:].clone()
        self.first = first


def _cut(features: dict[int, Tensor], tile: Tile, top: int, left: int, scale: int) -> dict[int, Tensor]:
    """A tile's window of features that begin at the image's row `top` and column `left`."""
    cut = {}
    for stride, maps in features.items():
        rows, cols = (
            slice((span.first - start) * scale // stride, (span.last - start) * scale // stride)
            for span, start in ((tile.rows, top), (tile.cols, left))
        )
        cut[stride] = maps[:, :, rows, cols]
    return cut
