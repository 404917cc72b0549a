"""The samples of a training run: sample `index` is a pure function of the seed and the index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from flowkit.data.page_cache import Pages, WholePages
from flowkit.data.tasks import Endless, Task
from flowkit.data.windows import Pieces, crop, ink_of_image, turn, zoomed
from flowkit.degradations import Compose, Degradation, degradations_from
from flowkit.degradations.bare_paper import without_ink
from flowkit.errors import DataError

INK_SHARE = 0.005  # a patch with less ink is mostly paper ...
PAPER_KEPT = 0.25  # ... of which this share is enough

Degrade = Compose | Degradation | Callable[..., NDArray[np.float32]]


@dataclass(frozen=True)
class Share:
    """One source's part of the samples.

    Args:
        name: of the source.
        weight: its samples are this many of `sum of weights`.
        numbers: of its pages.
        areas: of the targets of these pages, in pixels.
        endless: in place of pages.
    """

    name: str
    weight: float
    numbers: NDArray[np.int64]
    areas: NDArray[np.float64]
    endless: Endless | None = None


class TrainingSet(Dataset[tuple[Tensor, Tensor]]):
    """Patches of pages: image (C, p/s, p/s) and target (C', p, p), float32 in [0, 1]; ink is 1.

    A source is chosen by its weight, one of its pages by the square root of the page's area, and a place on
    it at random. Patches with ink are preferred. Each is flipped and turned by quarter turns. Everything is a
    function of the seed and the index: all processes that prepare data or train, and resumed runs, see the
    same samples without communication.

    Args:
        task: the task of the model.
        pages: all pages.
        shares: the pages of each source.
        patch: side of the target, in pixels.
        seed: seed of all choices.
        length: number of samples.
        degrade: function of images, float32 (h, w, 3) in [0, 1], called like a `Degradation`. None: the
            preset `light` for ink, otherwise nothing.
        zoom: range of the enlargement of patches with ink, drawn evenly in the logarithm.
        fingerprints: fingerprints of the pages.
        validation: whole pages that are not trained on.
        notes: notes of the reader of images, for the summary.

    Attributes:
        fingerprints: see `flowkit.data.fingerprint`.
        validation: (name, image, target) of each page, decoded at each access.

    Raises:
        DataError: a zoom for images, or a patch that does not fit the task.
    """

    def __init__(
        self,
        task: Task,
        pages: Pages,
        shares: Sequence[Share],
        *,
        patch: int,
        seed: int,
        length: int,
        degrade: Degrade | None = None,
        zoom: Sequence[float] = (1.0, 1.0),
        fingerprints: frozenset[str] = frozenset(),
        validation: WholePages | tuple[()] = (),
        notes: Sequence[str] = (),
    ) -> None:
        task.check_patch(patch)
        self.zoom = np.log(np.asarray(zoom, np.float64))
        if self.zoom.any() and not task.binary:
            raise DataError(f"train.zoom is for binary targets, got {list(zoom)}")
        self.task = task
        self.pages = pages
        self.shares = tuple(shares)
        self.patch = patch
        self.seed = seed
        self.length = length
        self.degrade = degradations_from("light") if degrade is None and task.binary else degrade
        self.fingerprints = fingerprints
        self.validation = validation
        self.notes = tuple(notes)
        self._sources = _cumulated([share.weight for share in shares])
        self._pages = [_cumulated(np.sqrt(share.areas)) for share in shares]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        rng = np.random.default_rng([self.seed, index])
        while True:
            image, target = self._piece(index, rng)
            if _shows_ink(target) or rng.random() < PAPER_KEPT:
                break
        values = _in_unit(image)
        if self.degrade is not None:
            values = self.degrade(
                values,
                rng,
                ink=ink_of_image(target, self.task.scale) if self.task.binary else None,
                other=lambda: _in_unit(self._piece(index, rng)[0]),
                paper=(lambda: self._paper(index, rng)) if self.task.binary else None,
            )
        turns, mirrored = int(rng.integers(4)), bool(rng.random() < 0.5)
        seen, wanted = turn(values, turns, mirrored), turn(target, turns, mirrored)
        top = np.float32(1 if self.task.binary else 255)
        return (
            to_tensor(seen, self.task.image_channels),
            to_tensor(wanted.astype(np.float32) / top, self.task.target_channels),
        )

    def summary(self) -> list[str]:
        """Describe the data, a line for each source, and its memory."""
        total = sum(share.weight for share in self.shares)
        lines = []
        for share in self.shares:
            kept = sum(int(n) in self.pages.cache for n in share.numbers)
            size = f"{len(share.numbers)} pages, {share.areas.sum() / 1e6:.1f} megapixels, {kept} in memory"
            what = "pages without end" if share.endless else size
            lines.append(f"{share.name}: {share.weight / total:.0%} of the samples; {what}")
        cache = self.pages.cache
        lines.append(f"cache: {cache.used / 1e6:,.0f} of {cache.budget / 1e6:,.0f} MB")
        lines.append(f"validation: {len(self.validation)} pages")
        own = self.degrade.notes() if isinstance(self.degrade, Compose | Degradation) else []
        return [*lines, *(f"note: {note}" for note in (*self.notes, *own))]

    def _paper(self, index: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a piece of another page without its ink."""
        image, target = self._piece(index, rng)
        return without_ink(_in_unit(image), ink_of_image(target, self.task.scale), rng)

    def _piece(self, index: int, rng: np.random.Generator) -> Pieces:
        number = _draw(self._sources, rng)
        share = self.shares[number]
        if share.endless is not None:
            pair, box = share.endless.draw(index, rng), None
        else:
            page = int(share.numbers[_draw(self._pages[number], rng)])
            pair, boxes = self.pages.read(page), self.pages.sheets[page].boxes
            box = boxes[int(rng.integers(len(boxes)))] if boxes else None
        if not self.zoom.any():
            return crop(pair, box, self.patch, self.task.scale, rng)
        scale = self.task.scale
        side = scale * round(self.patch / scale / float(np.exp(rng.uniform(*self.zoom))))
        return zoomed(crop(pair, box, side, scale, rng), self.patch, scale)


def _shows_ink(target: NDArray[np.generic]) -> bool:
    if target.dtype == np.bool_:
        return float(target.mean()) >= INK_SHARE
    # An image has no truth: what differs from the paper around it by a quarter of the range is taken for ink.
    grey = target.mean(axis=2)
    return float((np.abs(grey - np.median(grey)) > 64).mean()) >= INK_SHARE


def _in_unit(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return image.astype(np.float32) / np.float32(255)


def _cumulated(weights: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(np.asarray(weights, np.float64))


def _draw(cumulated: NDArray[np.float64], rng: np.random.Generator) -> int:
    place = rng.random() * cumulated[-1]
    return min(int(np.searchsorted(cumulated, place, side="right")), len(cumulated) - 1)


def to_tensor(values: NDArray[np.float32], channels: int) -> Tensor:
    """Turn (H, W) or (H, W, 3) values into (C, H, W); three channels become one by luma (ITU-R BT.601)."""
    if values.ndim == 2:
        values = values[:, :, None]
    elif channels == 1:
        values = values @ np.array([[0.299], [0.587], [0.114]], np.float32)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1), np.float32))
