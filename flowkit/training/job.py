"""The parts of a training, assembled and checked before anything is written."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import nn

from flowkit.data import Task, TrainingSet, training_set
from flowkit.data.describe import Given
from flowkit.data.examples import ExampleSet, Own, is_own
from flowkit.degradations import degradations_from
from flowkit.errors import FlowkitError, RecipeError
from flowkit.recipe import Recipe, build
from flowkit.training.data_order import Batch, Order, batches, default_workers
from flowkit.training.kept_patches import KeptPatches
from flowkit.training.processes import Processes
from flowkit.training.start import start_from
from flowkit.training.step import Outcome, Stepper
from flowkit.training.validation import Validation

ENDLESS = 2**53  # samples: a run ends by its steps

Data = Sequence[Given] | Own
Validate = float | Data | None


class Job:
    """A model, its data, and the stepper that trains it.

    Args:
        recipe: what to build, and how to train it.
        data: folders or data files of training pages (docs/reference/data.md), or the caller's own data.
        validation: a share of the training pages, or other data.
        processes: all processes that take part.
        init: weights to start from (see `start_from`).
        workers: number of processes that prepare data, for each that trains; by default by the number of
            cores.

    Raises:
        DataError, CheckpointError, RecipeError: parts that do not fit together.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        processes: Processes,
        *,
        validation: Validate = None,
        init: str | os.PathLike[str] | None = None,
        workers: int | None = None,
    ) -> None:
        self.recipe = recipe
        self.options = recipe.train
        self.processes = processes
        torch.manual_seed(self.options.seed)
        self.model = build(recipe)
        if self.options.recompute is not None:
            self.model.recompute = self.options.recompute
        self.seen_before = frozenset() if init is None else start_from(self.model, init)
        if processes.world > 1 and processes.device.type == "cuda":
            # Statistics cover the whole step, like those of actnorm; torch does not declare its types.
            nn.SyncBatchNorm.convert_sync_batchnorm(self.model)  # type: ignore[no-untyped-call]
        # Faster convolutions; torch does not declare this form of the call.
        self.model.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        try:
            self.stepper = Stepper(self.model, self.options, processes)
        except FlowkitError as error:
            raise RecipeError(f"{error}\n  {recipe.document.place(('train', 'losses'))}") from None
        self.data = self._data(data, validation)
        self.kept = KeptPatches(self.data, self.model, self.options) if self.options.kept_patches else None
        self.validation = Validation(
            self.model, self.data.validation, self.options.patch, self.options.validation_windows
        )
        self.order = Order(self.options.batch, self.options.accumulate, processes)
        self.workers = default_workers(processes.world) if workers is None else workers

    def _data(self, data: Any, validation: Any) -> TrainingSet | ExampleSet:
        """Make the samples, of pages or of the caller's own data."""
        options = self.options
        common: dict[str, Any] = {"patch": options.patch, "seed": options.seed, "length": ENDLESS}
        if is_own(data):
            unused = {"train.degrade": options.degrade, "train.zoom": max(options.zoom) != min(options.zoom)}
            notes = [f"{name} is for pages, and not applied" for name, asked in unused.items() if asked]
            return ExampleSet(data, self.model, validation=validation, notes=notes, **common)
        try:
            degrade = None if options.degrade is None else degradations_from(options.degrade)
        except FlowkitError as error:
            raise RecipeError(f"{error}\n  {self.recipe.document.place(('train', 'degrade'))}") from None
        task = Task.of(self.model)
        return training_set(
            data, task=task, degrade=degrade, zoom=options.zoom, validation=validation, **common
        )

    def batches(self, position: int, steps: int) -> Generator[Batch]:
        """Yield the data of `steps` steps from sample `position` on, pass by pass, on the host."""
        if self.kept:  # in this process, which keeps them
            return batches(self.kept, self.order, position, steps, workers=0)
        return batches(self.data, self.order, position, steps, self.workers)

    def take(self, step: int, position: int, passes: list[Batch]) -> Outcome:
        """Take one step on the data that `batches` yielded for it."""
        device = self.processes.device
        there = [
            (
                image.to(device, non_blocking=True, memory_format=torch.channels_last),
                target.to(device, non_blocking=True),
            )
            for image, target in passes
        ]
        parts, kept = self.order.step(position), self.kept
        if kept is None:
            return self.stepper.take(step, there, parts)
        features = [kept.features(part, image) for part, (image, _) in zip(parts, there, strict=True)]
        return self.stepper.take(step, there, parts, features)
