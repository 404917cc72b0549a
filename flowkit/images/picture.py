"""A page that has been read: its pixels, its resolution, and notes of the reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flowkit.errors import ImageError


@dataclass(frozen=True)
class Picture:
    """A page that has been read.

    Attributes:
        pixels: (H, W, 1) grey or (H, W, 3) RGB; uint8 or uint16 over their full range, or float32 in [0, 1].
        dpi: dots per inch across and down, or None where the file does not say.
        notes: what the reader did that its user may not expect, one sentence each.
    """

    pixels: NDArray[Any]
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def window(self, rows: slice, cols: slice, channels: int) -> torch.Tensor:
        """Return a piece of the page as floats in [0, 1], (1, channels, h, w).

        Beyond the page its edge is repeated. Grey is repeated for 3 channels; colour becomes luma (ITU-R
        BT.601) for 1.
        """
        height, width = self.size
        piece = self.pixels[rows.start : min(rows.stop, height), cols.start : min(cols.stop, width)]
        below, right = rows.stop - rows.start - piece.shape[0], cols.stop - cols.start - piece.shape[1]
        piece = np.pad(piece, ((0, below), (0, right), (0, 0)), mode="edge")
        values = torch.from_numpy(piece.astype(np.float32)).permute(2, 0, 1)
        if piece.dtype != np.float32:
            values = values / float(np.iinfo(piece.dtype).max)
        if values.shape[0] == 3 and channels == 1:
            values = luma(values)
        return values.expand(channels, -1, -1).contiguous().unsqueeze(0)

    def eight_bits(self) -> NDArray[np.uint8]:
        """Return the pixels in 8 bits, rounded."""
        values = self.pixels
        if values.dtype == np.uint16:
            return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return np.rint(255 * values).astype(np.uint8) if values.dtype == np.float32 else values

    def rgb8(self) -> NDArray[np.uint8]:
        """Return the page as 8-bit RGB, (H, W, 3): the pixels that training and classical methods see."""
        values = self.eight_bits()
        return values if values.shape[2] == 3 else np.repeat(values, 3, axis=2)


def luma(values: torch.Tensor) -> torch.Tensor:
    """Return the luma (1, h, w) of RGB (3, h, w), by the weights of ITU-R BT.601."""
    return (values * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0, keepdim=True)


def picture_of(array: NDArray[Any]) -> Picture:
    """Return an array (H, W) or (H, W, 3) of the caller's as a picture.

    Raises:
        ImageError: it has another shape or type, or values out of range.
    """
    pixels = array[..., None] if array.ndim == 2 else array
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise ImageError(f"image: shape {array.shape}, expected (H, W) grey or (H, W, 3) RGB, not empty")
    if pixels.dtype in (np.uint8, np.uint16):
        return Picture(pixels)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ImageError(f"image: pixels of type {pixels.dtype}, expected uint8, uint16 or floats in [0, 1]")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ImageError(f"image: values from {low:g} to {high:g}, expected floats in [0, 1]")
    return Picture(pixels.astype(np.float32))
