"""Features of a page that is too large to be encoded at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from flowkit.encoders import Encoder
from flowkit.layers.features import Features
from flowkit.malloc import give_back
from flowkit.pages.tiles import Span, Tile, round_up

Window = Callable[[Span, Span], Tensor]
"""A function from [first, last) of rows and columns of the padded page to (1, C, h, w)."""


class PageFeatures(Protocol):
    """Features of windows of one page, or of a part of it.

    Attributes:
        lock: to be held by threads that ask for what is there, or for work, or forget.
    """

    lock: threading.RLock

    def of(self, tile: Tile) -> Mapping[int, Features]:
        """Return the features of a tile's window at every stride, equal to the whole page's for the core."""
        ...

    def reached(self, last: int) -> bool:
        """Return whether features above image row `last` can be had without further work."""
        ...

    def begin(self, most: int) -> Step | None:
        """Return work for the features of rows further down that can begin now, if there is any.

        `do` does the work. At most `most` bands of rows have begun and are not ready yet.
        """
        ...

    def do(self, step: Step) -> None:
        """Do this work, while other threads do other steps."""
        ...

    def forget(self, first: int) -> None:
        """Drop what no window from image row `first` on needs."""
        ...


class Step(NamedTuple):
    """A stage of a stream, and what it takes."""

    stage: int
    value: Any


class WindowFeatures:
    """Features of windows that are encoded separately, with margins of the encoder's reach."""

    def __init__(self, encoder: Encoder, window: Window) -> None:
        self.encoder = encoder
        self.window = window
        self.lock = threading.RLock()

    def of(self, tile: Tile) -> Mapping[int, Features]:
        """Return the features of a tile's window; see `PageFeatures.of`."""
        return self.encoder.features(self.window(*tile))

    def reached(self, last: int) -> bool:
        """See `PageFeatures.reached`: a window is encoded when it is asked for."""
        return True

    def begin(self, most: int) -> Step | None:
        """See `PageFeatures.begin`: there is none."""
        return None

    def do(self, step: Step) -> None:
        """See `PageFeatures.do`."""
        raise AssertionError("windows have no steps")

    def forget(self, first: int) -> None:
        """See `PageFeatures.forget`."""


class StreamedFeatures:
    """Features of a page that is streamed through the encoder once, from top to bottom, ahead of the tiles.

    Tiles are asked for row by row; one above the last asked for starts the page again. A stage of the stream
    takes the same rows in the same order for any caller, so that features do not depend on the threads.

    Args:
        encoder: with a stream.
        height: of the page.
        width: of the page.
        window: the page.
        computing: makes a context in which every thread computes.
    """

    def __init__(
        self,
        encoder: Encoder,
        height: int,
        width: int,
        window: Window,
        computing: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.encoder = encoder
        self.size = height, width
        self.window = window
        self.computing = computing
        self.lock = threading.RLock()
        self._start()

    read: int  # image rows that the stream has taken

    def of(self, tile: Tile) -> Mapping[int, Features]:
        """Return the features of a tile's window; see `PageFeatures.of`."""
        with self.lock:
            if any(tile.rows.first < first for first in self.first.values()):
                self._start()
            while not self.reached(tile.rows.last):
                self.forget(tile.rows.first)  # before more comes, or two rows of tiles would be in memory
                self._advance()
            kept = {stride: (self.first[stride], list(blocks)) for stride, blocks in self.blocks.items()}
        streamed = {stride: self._cut(tile, stride, *found) for stride, found in kept.items()}
        return self.encoder.complete(streamed, lambda: self.window(*tile))

    def reached(self, last: int) -> bool:
        """See `PageFeatures.reached`."""
        return bool(self.first) and all(
            first + sum(block.shape[2] for block in self.blocks[stride]) * stride / self.encoder.scale >= last
            for stride, first in self.first.items()
        )

    def begin(self, most: int) -> Step | None:
        """See `PageFeatures.begin`; the stages that are nearest to the end come first."""
        for stage in reversed(range(len(self.waiting))):
            if self.waiting[stage] and not self.busy[stage]:
                self.busy[stage] = True
                return Step(stage, self.waiting[stage].popleft())
        height, top = self.size[0], self.read
        if self.busy[0] or top == height or self.passing >= most:
            return None
        self.read = min(height, top + self.band)
        self.busy[0] = True
        self.passing += 1
        return Step(0, Span(top, self.read, top, self.read))

    def do(self, step: Step) -> None:
        """See `PageFeatures.do`."""
        stage, value = step
        with self.computing():
            if isinstance(value, Span):
                height, width = self.size
                if value.stop == height:  # all that the stream held back comes at once
                    give_back()
                value = self.window(value, Span(0, width, 0, width)), value.stop == height
            value = self.stages[stage](value)
        with self.lock:
            self.busy[stage] = False
            if stage + 1 < len(self.stages):
                self.waiting[stage + 1].append(value)
            else:
                self.passing -= 1
                for stride, pieces in value.items():
                    self.first.setdefault(stride, 0)
                    self.blocks.setdefault(stride, []).extend(pieces)

    def forget(self, first: int) -> None:
        """See `PageFeatures.forget`."""
        for stride, blocks in self.blocks.items():
            while blocks and (below := self._below(stride, blocks[0])) <= first:
                del blocks[0]
                self.first[stride] = below

    def _cut(self, tile: Tile, stride: int, first: int, blocks: list[Tensor]) -> Tensor:
        rows, cols = (
            slice(*((at - start) * self.encoder.scale // stride for at in (span.first, span.last)))
            for span, start in ((tile.rows, first), (tile.cols, 0))
        )
        parts, top = [], 0
        for block in blocks:
            parts.append(block[:, :, max(0, rows.start - top) : max(0, rows.stop - top), cols])
            top += block.shape[2]
        return torch.cat([part for part in parts if part.shape[2]], dim=2)

    def _start(self) -> None:
        stream = self.encoder.stream()
        assert stream is not None
        self.stages = stream.stages
        self.band = round_up(stream.band(self.size[1]), self.encoder.multiple)
        self.waiting: list[deque[Any]] = [deque() for _ in self.stages]
        self.busy = [False for _ in self.stages]
        self.passing = 0  # bands that have begun and are not ready
        self.read = 0
        # Blocks of rows as they come, not one map: it would have to be copied to grow, and twice in memory.
        self.blocks: dict[int, list[Tensor]] = {}
        self.first: dict[int, int] = {}  # the image row at which a stride's blocks begin

    def _advance(self) -> None:
        """Take a band of rows through all stages."""
        while (step := self.begin(1)) is not None:
            self.do(step)
            if not self.passing:
                return

    def _below(self, stride: int, block: Tensor) -> int:
        """Return the image row below a stride's first block."""
        return self.first[stride] + block.shape[2] * stride // self.encoder.scale
