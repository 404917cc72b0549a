"""Latents of a whole page of any size, computed as a function of their place."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from flowkit.ops.normals import normals

_CELL = 64  # small, because a window needs the whole of every cell that it touches


class PageNoise:
    """Standard normal noise over an endless page, a function of seed, sample and place.

    A value depends on the seed, the sample, the latent, the channel and the place, and on nothing else: not
    on the cut into tiles, nor on the device. So tiles share one latent without anybody keeping it, and
    memory does not grow with the page or with the number of samples.

    Args:
        seed: 0 or more.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def window(self, sample: int, latent: int, channels: int, rows: range, cols: range) -> torch.Tensor:
        """Return rows x cols of one latent, float32 (channels, len(rows), len(cols)), in its own cells."""
        out = np.empty((channels, len(rows), len(cols)), np.float32)
        for i in range(rows.start // _CELL, (rows.stop - 1) // _CELL + 1):
            top, bottom = max(rows.start, i * _CELL), min(rows.stop, (i + 1) * _CELL)
            for j in range(cols.start // _CELL, (cols.stop - 1) // _CELL + 1):
                left, right = max(cols.start, j * _CELL), min(cols.stop, (j + 1) * _CELL)
                cell = self._cell(sample, latent, channels, i, j)
                out[:, top - rows.start : bottom - rows.start, left - cols.start : right - cols.start] = cell[
                    :, top - i * _CELL : bottom - i * _CELL, left - j * _CELL : right - j * _CELL
                ]
        return torch.from_numpy(out)

    def _cell(self, sample: int, latent: int, channels: int, i: int, j: int) -> NDArray[np.float32]:
        generator = np.random.PCG64(np.random.SeedSequence([self.seed, sample, latent, i, j]))
        bits: NDArray[np.uint64] = generator.random_raw(channels * _CELL**2 // 2)
        return normals(bits).reshape(channels, _CELL, _CELL)
