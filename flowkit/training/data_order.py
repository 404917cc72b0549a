"""Deterministic sample order: resuming needs only the position."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from flowkit.errors import FlowkitError
from flowkit.training.processes import Processes

MOST_WORKERS = 8  # the default; reading drawn or cached pages is seldom slower than the flow

Batch = tuple[Tensor, Tensor]


class Order:
    """The indices of a run's samples.

    A step takes `world * batch * accumulate` consecutive indices: the processes share each part of `world *
    batch`, so that in a step two processes see the samples of one process with twice the batch.

    Args:
        batch: samples per forward pass, of one process.
        accumulate: forward passes per step.
        processes: all that take part.
    """

    def __init__(self, batch: int, accumulate: int, processes: Processes) -> None:
        self.batch = batch
        self.accumulate = accumulate
        self.processes = processes

    @property
    def per_step(self) -> int:
        """Return the number of samples of one step, over all processes."""
        return self.batch * self.accumulate * self.processes.world

    def step(self, position: int) -> list[range]:
        """Return this process's indices for the step from sample `position` on: a range for each pass."""
        stride = self.batch * self.processes.world
        starts = [position + k * stride + self.processes.rank * self.batch for k in range(self.accumulate)]
        return [range(start, start + self.batch) for start in starts]


def default_workers(world: int) -> int:
    """Return the number of processes that prepare data for one that trains: its cores minus one, 1 to 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_WORKERS, cores // world - 1))


def batches(dataset: Dataset[Any], order: Order, position: int, steps: int, workers: int) -> Generator[Batch]:
    """Yield the (images, targets) of `steps` steps from sample `position` on, pass by pass.

    Raises:
        FlowkitError: a worker died.
    """
    passes = (part for s in range(steps) for part in order.step(position + s * order.per_step))
    loader = DataLoader(
        dataset,
        batch_sampler=_Passes(passes, steps * order.accumulate),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_ignore_signals if workers else None,
        pin_memory=order.processes.device.type == "cuda",
    )
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise FlowkitError(
            f"a process that prepares training data died ({error}); most often memory has run out: "
            "use fewer --workers, or --workers 0"
        ) from None


class _Passes:
    """A batch sampler: torch iterates over it once."""

    def __init__(self, passes: Iterator[range], count: int) -> None:
        self.passes = passes
        self.count = count

    def __iter__(self) -> Iterator[list[int]]:
        return map(list, self.passes)

    def __len__(self) -> int:
        return self.count


def _ignore_signals(worker: int) -> None:
    # Signals reach the whole group of processes; the one that trains decides what to do.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def seed_of(seed: int, *numbers: int) -> int:
    """Return 63 bits that depend on all of the numbers, and on nothing else.

    >>> seed_of(0, 1, 2) == seed_of(0, 1, 2), seed_of(0, 1, 2) == seed_of(0, 2, 1)
    (True, False)
    """
    return int(np.random.SeedSequence([seed, *numbers]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def noise_of(indices: Sequence[int], seed: int, device: torch.device) -> list[torch.Generator]:
    """Return a generator for each sample that depends only on the run's seed and the sample's index."""
    return [torch.Generator(device).manual_seed(seed_of(seed, index)) for index in indices]
