"""Validation: bits per dimension and quality, on fixed windows of pages that were not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowkit.data import Pair, Task
from flowkit.data.dataset import to_tensor
from flowkit.data.examples import Example
from flowkit.errors import DataError
from flowkit.flow import ConditionalFlow
from flowkit.targets import Binary
from flowkit.training.data_order import noise_of
from flowkit.training.processes import Processes

NOISE_SEED = 1  # every validation draws the same noise, so that differences come from the weights


@dataclass(frozen=True)
class Window:
    """A piece of a page, cut to a size that the flow takes: image (C, h, w) and target (C', H, W)."""

    page: int
    image: Tensor
    target: Tensor


class Validation:
    """Windows of the validation pages, and the scores of a model on them.

    Windows lie side by side on every page; `windows` of them are taken at even distances, so that every
    part of the set is used and every validation uses the same. Each window is scored as if it were a page,
    without the margin that the inference of pages has around a tile.

    Args:
        model: whose scale and sizes the windows must have.
        pages: whole pages, or examples of the caller's own, with their targets.
        side: of a window, in target pixels.
        windows: the largest number of windows.

    Raises:
        DataError: a page is smaller than the least size that the flow takes.
    """

    def __init__(
        self, model: ConditionalFlow, pages: Sequence[Pair] | Sequence[Example], side: int, windows: int
    ) -> None:
        self.binary = isinstance(model.target, Binary)
        places = [
            (number, top, left)
            for number, (height, width) in enumerate(map(_size, pages))
            for top in _starts(height, side)
            for left in _starts(width, side)
        ]
        chosen = np.linspace(0, len(places) - 1, min(windows, len(places))).round().astype(int)
        self.windows = [
            _cut(model, pages[number], number, (top, left), side)
            for number, top, left in (places[i] for i in chosen)
        ]

    def __bool__(self) -> bool:
        return bool(self.windows)

    @torch.no_grad()
    def score(self, model: ConditionalFlow, processes: Processes) -> dict[str, float]:
        """Return the means over the windows of all processes: `bits_per_dim`, and `f_measure` or `psnr`.

        The last two score the image at temperature 0. For binary targets, the F-measure of a page, in
        percent, counts all pixels of its windows, and is averaged over the pages; for others, the PSNR of
        each window is 10 log10(1 / mean squared error), in dB.
        """
        bits, errors = np.zeros(len(self.windows)), np.zeros(len(self.windows))
        counts = np.zeros((1 + max(window.page for window in self.windows), 3))  # ink found, true, in both
        for i in range(processes.rank, len(self.windows), processes.world):
            window = self.windows[i]
            image, target = (t[None].to(processes.device) for t in (window.image, window.target))
            p = model(image)
            noise = noise_of([i], NOISE_SEED, processes.device)
            bits[i] = float(p.bits_per_dim(target, generator=noise))
            found = p.sample(1, temperature=0)[0]
            if self.binary:
                inks = (found > 0.5, target > 0.5, (found > 0.5) & (target > 0.5))
                counts[window.page] += [int(ink.sum()) for ink in inks]
            else:
                errors[i] = float((found.clamp(0, 1) - target).square().mean())
        together = np.array(processes.sums([*bits, *errors, *counts.ravel()]))
        n = len(self.windows)
        scores = {"bits_per_dim": float(together[:n].mean())}
        if self.binary:
            scores["f_measure"] = _f_measure(together[2 * n :].reshape(-1, 3))
        else:
            scores["psnr"] = float(np.mean([_psnr(error) for error in together[n : 2 * n]]))
        return scores


def _f_measure(counts: np.ndarray) -> float:
    """Return the mean F-measure, in percent, over the pages with windows, from (found, true, both)."""
    seen = [page for page in counts if page[:2].any()]
    return float(np.mean([200 * both / (found + true) for found, true, both in seen])) if seen else math.nan


def _psnr(error: float) -> float:
    return 10 * math.log10(1 / max(error, 1e-12))


def _starts(length: int, side: int) -> range:
    return range(0, max(1, length - side + 1), side)


def _size(page: Pair | Example) -> tuple[int, int]:
    height, width = page.target.shape[1:] if isinstance(page, Example) else page.target.shape[:2]
    return height, width


def _cut(
    model: ConditionalFlow, page: Pair | Example, number: int, start: tuple[int, int], side: int
) -> Window:
    scale, unit = model.scale, model.multiple * model.scale
    sizes = [min(side, n) // unit * unit for n in _size(page)]
    if 0 in sizes:
        height, width = _size(page)
        raise DataError(f"{page.name}: is {width} x {height}, and this flow takes {unit} x {unit} at least")
    low = tuple(slice(a // scale, (a + n) // scale) for a, n in zip(start, sizes, strict=True))
    high = tuple(slice(a, a + n) for a, n in zip(start, sizes, strict=True))
    if isinstance(page, Example):
        return Window(number, page.image[:, *low], page.target[:, *high])
    task = Task.of(model)
    image = page.whole(scale).image
    assert image is not None  # of a whole pair
    top = np.float32(1 if task.binary else 255)
    return Window(
        number,
        to_tensor(image[low].astype(np.float32) / np.float32(255), task.image_channels),
        to_tensor(page.target[high].astype(np.float32) / top, task.target_channels),
    )
