"""Patches that are used again and again, with features that the frozen encoder computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from flowkit.errors import FlowkitError
from flowkit.flow import ConditionalFlow
from flowkit.layers.features import Features, PartlyCoarse, dense
from flowkit.recipe import TrainOptions

MOST_BYTES = 8_000_000_000  # of the kept features, of one process
SHUFFLE = 7  # separates the order of the patches from other random numbers of the run's seed


class KeptPatches(Dataset[tuple[Tensor, Tensor]]):
    """The first `kept_patches` samples of a training, in a new order in every pass over them.

    Images, targets and features are computed when a patch is first used. Features of 32 bits are kept in
    float16, features of fewer bits (`precision: bfloat16`) unchanged; the noise of the targets is new every
    time.

    Args:
        patches: the samples of an endless run.
        model: whose encoder is frozen.
        options: of the recipe's `train` section.
    """

    def __init__(
        self, patches: Dataset[tuple[Tensor, Tensor]], model: ConditionalFlow, options: TrainOptions
    ) -> None:
        self.patches = patches
        self.model = model
        self.count = options.kept_patches
        self.seed = options.seed
        self.low = options.precision == "bfloat16"
        self._pairs: dict[int, tuple[Tensor, Tensor]] = {}
        self._features: dict[int, Mapping[int, Features]] = {}
        self._order: tuple[int, list[int]] = (-1, [])

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        number = self.number(index)
        if number not in self._pairs:
            self._pairs[number] = self.patches[number]
        return self._pairs[number]

    def number(self, index: int) -> int:
        """Return the patch that is sample `index` of the run."""
        turn, place = divmod(index, self.count)
        if self._order[0] != turn:
            order = np.random.default_rng([SHUFFLE, self.seed, turn]).permutation(self.count)
            self._order = (turn, order.tolist())
        return self._order[1][place]

    def features(self, indices: Sequence[int], images: Tensor) -> dict[int, Features]:
        """Return the features of the samples with these indices, whose images (B, C, h, w) these are.

        Raises:
            FlowkitError: the features of all patches would take more than `MOST_BYTES`.
        """
        found = joined([self._of(self.number(i), images[k : k + 1]) for k, i in enumerate(indices)])
        if not self.low or images.device.type != "cpu":
            return found
        # In bfloat16, what convolutions on the coarse grid save is less than folding their weights costs.
        return {stride: dense(maps) for stride, maps in found.items()}

    def _of(self, number: int, image: Tensor) -> Mapping[int, Features]:
        if number not in self._features:
            with torch.no_grad(), torch.autocast(image.device.type, torch.bfloat16, enabled=self.low):
                found = self.model.encoder.eval().features(image)
            kept = {stride: _each(_half, maps) for stride, maps in found.items()}
            if not self._features:
                self._check_room(kept)
            self._features[number] = kept
        return {stride: _each(_whole, maps) for stride, maps in self._features[number].items()}

    def _check_room(self, features: Mapping[int, Features]) -> None:
        each = sum(part.nbytes for maps in features.values() for part in _parts(maps))
        if each * self.count > MOST_BYTES:
            raise FlowkitError(
                f"train.kept_patches: the features of {self.count} patches take "
                f"{each * self.count / 1e9:.1f} GB, and {MOST_BYTES / 1e9:.0f} GB are allowed: "
                f"{MOST_BYTES // each} patches of this size at most"
            )


def joined(parts: Sequence[Mapping[int, Features]]) -> dict[int, Features]:
    """Concatenate the features of several batches along the first dimension."""
    return {stride: _joined([part[stride] for part in parts]) for stride in parts[0]}


def _joined(maps: Sequence[Features]) -> Features:
    sides = [torch.cat(side) for side in zip(*map(_parts, maps), strict=True)]
    return sides[0] if isinstance(maps[0], Tensor) else PartlyCoarse(*sides)


def _parts(maps: Features) -> Sequence[Tensor]:
    return (maps,) if isinstance(maps, Tensor) else maps


def _each(change: Callable[[Tensor], Tensor], maps: Features) -> Features:
    return change(maps) if isinstance(maps, Tensor) else PartlyCoarse(*map(change, maps))


def _half(values: Tensor) -> Tensor:
    """Return values of 32 bits in float16, unless some are beyond its range."""
    half = values.half() if values.dtype == torch.float32 else values.clone()
    return half if bool(half.isfinite().all()) else values


def _whole(values: Tensor) -> Tensor:
    return values.float() if values.dtype == torch.float16 else values
