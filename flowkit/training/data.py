"""Training data as the loop wants them: sample i of the run, and whole pages for validation."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from flowkit.data import (
    BinarizationPatches,
    Page,
    SuperResolutionPatches,
    find_images,
    find_pairs,
    load_pages,
)
from flowkit.data.fingerprint import fingerprint
from flowkit.errors import DataError
from flowkit.flow import ConditionalFlow
from flowkit.recipe import TrainOptions
from flowkit.targets import Binary

Folders = Sequence[str | os.PathLike[str]]


class TrainingSet(Dataset[tuple[Tensor, Tensor]]):
    """Patches of pages: sample `index` is a function of the seed and the index, whoever asks for it."""

    def __init__(
        self, model: ConditionalFlow, data: Folders, options: TrainOptions, validation: Folders = ()
    ) -> None:
        self.seed = options.seed
        binary = isinstance(model.target, Binary)
        pages, self.validation = (_pages(folders, binary) for folders in (data, validation))
        self.fingerprints = frozenset(fingerprint(page.image) for page in pages)
        rng = np.random.default_rng(0)
        self.patches = (
            BinarizationPatches(pages, options.patch, rng)
            if binary
            else SuperResolutionPatches(pages, options.patch, model.scale, rng)
        )

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """(image, target) of one sample: (C, h, w) each."""
        self.patches.rng = np.random.default_rng([self.seed, index])
        image, target = self.patches.batch(1)
        return image[0], target[0]

    def summary(self) -> str:
        """One line."""
        return f"{len(self.fingerprints)} pages"


def check_channels(model: ConditionalFlow, options: TrainOptions) -> None:
    """Refuse a model that cannot be trained on pages, and patches that do not fit it.

    Raises:
        DataError: it says which option is wrong.
    """
    unit = model.multiple * model.scale
    if options.patch % unit:
        raise DataError(f"train.patch must be a multiple of {unit} for this flow, got {options.patch}")
    if model.in_channels != 3:
        raise DataError(f"training pages have 3 channels, but encoder.in_channels is {model.in_channels}")
    if isinstance(model.target, Binary):
        if model.scale != 1 or model.target.channels != 1:
            raise DataError("binary targets are trained at scale 1, with 1 channel")
    elif model.target.channels != 3:
        raise DataError(f"training pages have 3 channels, but target.channels is {model.target.channels}")


def _pages(folders: Folders, binary: bool) -> list[Page]:
    if not folders:
        return []
    return load_pages(find_pairs(folders) if binary else find_images(folders))
