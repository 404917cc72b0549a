"""Dry run: takes three steps and reports time and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor

from flowkit.training.data_order import Batch
from flowkit.training.job import Job
from flowkit.training.preflight import check_out, check_room
from flowkit.training.state import size_of

STEPS = 3


def plan(job: Job, out: Path) -> str:
    """Return a table of a job's data, parameters, memory, steps and time. Nothing is written.

    Memory is that of weights, gradients, the optimiser's moments and averages, and of the activations that a
    forward pass keeps for the backward pass (on a GPU, the peak of allocated memory). Time is the median of
    three steps. The three steps change the job's model, which must not be used afterwards.

    Raises:
        OutputError: `out` would be refused.
    """
    check_out(out, resume=False)
    check_room(out, size_of(job.stepper), job.options.keep)
    options, order = job.options, job.order
    parameters = sum(p.numel() for p in job.model.parameters())
    encoder = sum(p.numel() for p in job.model.encoder.parameters())
    seconds, activations = _rehearse(job)
    state = 20 * parameters
    windows = len(job.validation.windows)
    pages = f"{len(job.data.validation)} pages, {windows} windows" if windows else "none"
    whole = timedelta(seconds=round(seconds * options.steps))
    rows = {
        "recipe": job.recipe.name,
        "data": f"\n{' ' * 12}".join(job.data.summary()),
        "validation": pages,
        "parameters": f"{parameters:,} ({encoder:,} of them in the encoder)",
        "losses": ", ".join(f"{weight:g} {name}" for name, weight in options.losses.items()),
        "step": f"{order.per_step} patches of {options.patch} x {options.patch} ({order.batch} per pass, "
        f"{order.accumulate} passes, {job.processes.world} processes)",
        "memory": f"about {(state + activations) / 1e6:,.0f} MB per process: {state / 1e6:,.0f} of weights "
        f"and moments, {activations / 1e6:,.0f} of activations",
        "checkpoint": f"{size_of(job.stepper) / 1e6:,.0f} MB, of which {options.keep} are kept, and the best",
        "time": f"{seconds:.3g} s per step on {job.processes.device}, {options.steps:,} steps in {whole}",
    }
    return "\n".join(f"{name:<11} {value}" for name, value in rows.items())


def _rehearse(job: Job) -> tuple[float, int]:
    """Measure the seconds per step, and the bytes of activations."""
    times: list[float] = []
    kept = 0
    passes = job.options.accumulate
    with closing(job.batches(0, STEPS)) as data:
        for step in range(STEPS):
            batch = [next(data) for _ in range(passes)]
            begin = time.monotonic()
            job.take(step, step * job.order.per_step, batch)
            times.append(time.monotonic() - begin)
            kept = max(kept, _kept(job, batch[:1])) if step == 0 else kept
    if job.processes.device.type == "cuda":
        kept = torch.cuda.max_memory_allocated(job.processes.device)
    return statistics.median(times), kept


def _kept(job: Job, batch: Sequence[Batch]) -> int:
    """Measure the bytes that one forward pass keeps for the backward pass, without parameters."""
    own = {p.untyped_storage().data_ptr() for p in job.model.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        job.take(0, 0, list(batch) * job.options.accumulate)
    return sum(seen.values())
