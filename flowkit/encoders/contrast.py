"""Local statistics of an image around each pixel, by which classical methods binarize."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.encoders.streaming import Queue, Window
from flowkit.errors import ShapeError

FLOOR = 0.05
"""Added to deviations of values in [-1, 1], in quadrature, so that the noise of plain paper stays small."""


class LocalContrast(nn.Module):
    """Cells of 2x2 pixels, and the difference of each from its surroundings.

    For a window of w x w cells around a cell, m and v are the mean and the variance of its grey pixels, and
    s = sqrt(v + 0.05^2); the cell gets its 4 grey pixels as (g - m) / s, and s. Niblack's and Sauvola's
    thresholds m + k s are linear in these values, whatever the light and the contrast; a network that has to
    compute them by convolutions learns them slowly. Windows end at the edge of the image.

    Args:
        channels: of the image.
        windows: their sides w, in cells; odd.

    Raises:
        ShapeError: a window that is even, or less than 3 cells wide.
    """

    def __init__(self, channels: int, windows: Sequence[int]) -> None:
        super().__init__()
        if any(side < 3 or side % 2 == 0 for side in windows):
            raise ShapeError(f"contrast must be odd sides of windows, from 3, got {list(windows)}")
        self.windows = tuple(windows)
        self.image_channels = channels
        self.channels = 4 * channels + 5 * len(self.windows)
        self.reach = 2 * (max(self.windows, default=1) // 2)

    def forward(self, cells: Tensor) -> Tensor:
        """Turn unshuffled values (B, 4 C, h, w) in [-1, 1] into (B, 4 C + 5 windows, h, w)."""
        moments = self.moments(cells)
        return self.joined(
            cells,
            [averaged(averaged(moments, side, 3), side, 2) for side in self.windows],
        )

    def grey(self, cells: Tensor) -> Tensor:
        """Average the colours of (B, 4 C, h, w): (B, 4, h, w), in float32 or better."""
        cells = cells.to(torch.promote_types(cells.dtype, torch.float32))
        return cells.reshape(cells.shape[0], self.image_channels, 4, *cells.shape[2:]).mean(1)

    def moments(self, cells: Tensor) -> Tensor:
        """Return the mean of a cell's grey pixels and the mean of their squares, (B, 2, h, w)."""
        grey = self.grey(cells)
        return torch.stack([grey.mean(1), grey.square().mean(1)], 1)

    def joined(self, cells: Tensor, moments: Sequence[Tensor]) -> Tensor:
        """Join the cells and the statistics that follow from the moments (B, 2, h, w) of each window."""
        grey = self.grey(cells)
        parts = [cells]
        for both in moments:
            mean, square = both[:, :1], both[:, 1:]
            deviation = ((square - mean.square()).clamp_min(0) + FLOOR**2).sqrt()
            parts += [(grey - mean) / deviation, deviation]
        return torch.cat([part.to(cells.dtype) for part in parts], 1)


class ContrastRows:
    """A `LocalContrast` for a page that comes row by row."""

    def __init__(self, contrast: LocalContrast) -> None:
        self.contrast = contrast
        self.cells = Queue()
        self.windows = [Window(2 * (side // 2) + 1) for side in contrast.windows]
        self.moments = [Queue() for _ in contrast.windows]

    def push(self, rows: Tensor, *, last: bool) -> Tensor:
        """Take the next rows (B, 4 C, r, W); return those that are ready, (B, C', r', W)."""
        self.cells.put(rows)
        moments = self.contrast.moments(rows)
        for side, window, done in zip(self.contrast.windows, self.windows, self.moments, strict=True):
            pooled = averaged(moments, side, 3) if rows.shape[2] else moments
            # Beyond the page there are zeros, which do not count.
            seen = window.push(F.pad(pooled, (0, 0, 0, 0, 0, 1), value=1.0), last=last)
            if seen is not None:
                sums = summed(seen, side, 2)
                done.put(sums[:, :2] / sums[:, 2:])
        count = min((len(done) for done in self.moments), default=len(self.cells))
        if count == 0:
            return rows.new_empty(rows.shape[0], self.contrast.channels, 0, rows.shape[3])
        return self.contrast.joined(self.cells.take(count), [done.take(count) for done in self.moments])


def averaged(maps: Tensor, side: int, dim: int) -> Tensor:
    """Average `side` neighbours along a dimension of (B, C, h, w), fewer at its ends."""
    around, length = side // 2, maps.shape[dim]
    padding = (around, around) if dim == 3 else (0, 0, around, around)
    place = torch.arange(length, device=maps.device)
    counts = 1 + place.clamp(max=around) + (length - 1 - place).clamp(max=around)
    shape = [1, -1] if dim == 3 else [-1, 1]
    return summed(F.pad(maps, padding), side, dim) / counts.reshape(shape).to(maps.dtype)


def summed(maps: Tensor, side: int, dim: int) -> Tensor:
    """Sum `side` neighbours along a dimension, of which side - 1 fewer come out.

    Sums of 1, 2, 4, 8, ... neighbours, each made of two of the one before, are put together: 33 neighbours
    need six additions.
    """
    length = maps.shape[dim] - side + 1
    power, width, begin = maps, 1, 0
    total: Tensor | None = None
    while True:
        if side & width:
            part = power.narrow(dim, begin, length)
            total = part if total is None else total + part
            begin += width
        if 2 * width > side:
            assert total is not None
            return total
        left = power.shape[dim] - width
        power = power.narrow(dim, 0, left) + power.narrow(dim, width, left)
        width *= 2
