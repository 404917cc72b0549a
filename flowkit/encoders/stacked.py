"""Stacked encoders: a second network reads the image and the verdict of the first one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.encoders.base import Encoder
from flowkit.encoders.streaming import Queue, RowStream
from flowkit.errors import ShapeError
from flowkit.layers import Shape
from flowkit.layers.features import dense
from flowkit.registry import register

CELL = 2
"""Pixels along a side of the first encoder's cells."""

SOFT = 1 / 3
"""Factor of log-odds before the sigmoid: log-odds of certain pixels, 10 and more, still differ after it."""


@register("stacked")
class Stacked(Encoder):
    """An encoder of the image and of a first encoder's verdict on each pixel (Wolpert, stacking, 1992).

        l = head(first(x)),    features = second([x | sigmoid(l / 3)])

    l, (B, 1, H, W), are log-odds, of ink on a page. `second`, and a flow on it, can be trained on images that
    `first` has NOT seen, with the verdicts of other networks like it (cross-fitting). The flow then learns
    how often a verdict on an unseen image is wrong, not how well `first` remembers its own training images.
    For this, l is all that `second` receives from `first`, because it has the same meaning for any network.

    There are features at the strides of `second`, and at stride 1 the verdict itself, as 2 sigmoid(l) - 1.
    With `subtract`, the flow models only the difference of a binary target from it.

    Args:
        second: reads the image and the verdict: its `in_channels` are one more than the image's.
        first: reads the image; it has features at stride 2. If None, the last channel of the image is a
            verdict, as `CrossFit` gives it to train the rest.
        hidden: channels inside the head, three 1x1 convolutions.

    Raises:
        ShapeError: `second` takes other channels, or an encoder has another scale than 1.
    """

    def __init__(self, *, second: Encoder, first: Encoder | None = None, hidden: int = 64) -> None:
        super().__init__()
        parts = [second] if first is None else [first, second]
        if any(part.scale != 1 for part in parts):
            raise ShapeError(f"stacked encoders have scale 1, got {[part.scale for part in parts]}")
        if first is not None and second.in_channels != first.in_channels + 1:
            raise ShapeError(
                f"stacked: second must have in_channels {first.in_channels + 1}, "
                f"those of first and its verdict, got {second.in_channels}"
            )
        if hidden < 1:
            raise ShapeError(f"hidden must be positive, got {hidden}")
        self.in_channels = second.in_channels - (first is not None)
        self.scale = 1
        self.first = first
        self.second = second
        self.head: nn.Sequential | None = None
        if first is not None:
            self.head = nn.Sequential(
                nn.Conv2d(first.provide(CELL).channels, hidden, 1),
                nn.ReLU(),
                nn.Conv2d(hidden, hidden, 1),
                nn.ReLU(),
                nn.Conv2d(hidden, CELL**2, 1),
            )
        self.gives_verdict = False
        self.multiple = math.lcm(*(part.multiple for part in parts), CELL)
        self.grid = math.lcm(*(part.grid for part in parts), CELL)
        self.reach = sum(part.reach for part in parts) + CELL

    def provide(self, stride: int) -> Shape:
        """Promise the verdict at stride 1, or the second encoder's features at another stride.

        Raises:
            ShapeError: it has no features at this stride.
        """
        if stride == 1:
            self.gives_verdict = True
            return Shape(1, 1)
        return self.second.provide(stride)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Compute the second encoder's features, and the verdict."""
        seen = image if self.first is None else self.joined(image, dense(self.first.features(image)[CELL]))
        found: dict[int, Tensor] = self.second(seen)
        return {1: verdict(seen), **found} if self.gives_verdict else found

    def log_odds(self, features: Tensor) -> Tensor:
        """Compute l (B, 1, H, W) from the first encoder's features at stride 2."""
        assert self.head is not None
        return F.pixel_shuffle(self.head(features), CELL)

    def joined(self, image: Tensor, features: Tensor) -> Tensor:
        """Join the image and the verdict that follows from the first encoder's features at stride 2."""
        return torch.cat([image, torch.sigmoid(SOFT * self.log_odds(features)).to(image.dtype)], dim=1)

    def stream(self) -> RowStream | None:
        """Start to encode a page row by row, if both encoders can; see `Encoder.stream`."""
        first, second = map(_whole_stream, (self.first, self.second))
        return None if first is None or second is None else StackedRows(self, first, second)


def _whole_stream(part: Encoder | None) -> RowStream | None:
    """Return the stream of an encoder whose `complete` has nothing to do."""
    return None if part is None or type(part).complete is not Encoder.complete else part.stream()


def verdict(seen: Tensor) -> Tensor:
    """Return 2 sigmoid(l) - 1 of images whose last channel is sigmoid(l / 3).

    >>> round(verdict(torch.sigmoid(torch.tensor(6.0) / 3).view(1, 1, 1, 1)).item(), 4)  # tanh(3)
    0.9951
    """
    odds = torch.logit(seen[:, -1:].float(), eps=1e-6) / SOFT
    return torch.tanh(odds / 2).to(seen.dtype)


class StackedRows(RowStream):
    """A `Stacked` encoder for a page that comes row by row: the first one's stages, then the second one's."""

    def __init__(self, net: Stacked, first: RowStream, second: RowStream) -> None:
        self.net = net
        self.waiting = Queue()  # rows of the image whose features are not ready
        self.stages = [
            lambda pushed: (pushed, *pushed),
            *map(_beside, first.stages),
            self._join,
            *map(_beside, second.stages),
            self._end,
        ]

    def _join(self, passed: tuple[Mapping[int, list[Tensor]], Tensor, bool]) -> tuple[Any, Tensor, bool]:
        ready, rows, last = passed
        self.waiting.put(rows)
        pieces = [piece for piece in ready[CELL] if piece.shape[2]]
        seen = rows.new_empty(rows.shape[0], self.net.second.in_channels, 0, rows.shape[3])
        if pieces:
            features = torch.cat(pieces, dim=2)
            seen = self.net.joined(self.waiting.take(CELL * features.shape[2]), features)
        return (seen, last), seen, last

    def _end(self, passed: tuple[dict[int, list[Tensor]], Tensor, bool]) -> dict[int, list[Tensor]]:
        ready, seen, _ = passed
        if self.net.gives_verdict:
            ready[1] = [verdict(seen)] if seen.shape[2] else []
        return ready


def _beside(stage: Any) -> Any:
    """Let a stage's value pass with the rows that it began with."""

    def passing(passed: tuple[Any, Tensor, bool]) -> tuple[Any, Tensor, bool]:
        value, rows, last = passed
        return stage(value), rows, last

    return passing
