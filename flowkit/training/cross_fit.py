"""Samples for the second part of a stacked encoder: pages with verdicts of networks that never saw them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowkit.data import TrainingSet
from flowkit.encoders.stacked import SOFT
from flowkit.errors import ShapeError
from flowkit.flow import ConditionalFlow
from flowkit.losses import CrossEntropy


class CrossFit:
    """A function from the index of a sample to (image and verdict, target), for `flowkit.training.train`.

    Cross-fitting: of k folds of pages, model i is trained on all but fold i, and gives its verdicts on
    patches of fold i. A network that is trained on these learns how far a verdict on an unseen page can be
    trusted.

    Args:
        folds: each a model, and patches of pages that it was not trained on. Models are trained by
            cross-entropy, see `flowkit.losses.CrossEntropy`.

    Attributes:
        fingerprints: of all folds' pages.

    Raises:
        ShapeError: there is no fold, or a model's targets are not binary.
    """

    def __init__(self, folds: Sequence[tuple[ConditionalFlow, TrainingSet]]) -> None:
        if not folds:
            raise ShapeError("cross-fitting needs a fold or more, got none")
        self.folds = [(model.eval(), patches, CrossEntropy(model.target).slope) for model, patches in folds]
        self.fingerprints = frozenset().union(*(patches.fingerprints for _, patches in folds))

    @torch.no_grad()
    def __call__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return sample `index`: the folds take turns."""
        number, fold = divmod(index, len(self.folds))
        model, patches, slope = self.folds[fold]
        image, target = patches[number]
        odds = slope * model(image[None]).rsample(temperature=0)[0, 0]
        return torch.cat([image, torch.sigmoid(SOFT * odds)]), target
