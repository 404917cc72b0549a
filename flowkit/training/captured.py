"""Forward and backward passes on a GPU as one CUDA graph, if the model can be recorded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from flowkit.flow import ConditionalFlow
from flowkit.flow.cuda_graphs import Graph
from flowkit.training.data_order import Batch, noise_of, seed_of

Pass = Callable[[Batch, Sequence[torch.Generator]], Tensor]


class CapturedPasses:
    """Passes over batches of one shape, which return figures and add to the existing gradients.

    Kernels, noise and results are those of `run`. A pass that waits for the device cannot be recorded; it is
    run without recording, after a warning.

    Args:
        model: whose weights have the gradients.
        run: forward and backward pass of a batch, with a generator for each sample; returns figures.
        seed: of the noise, see `noise_of`.
    """

    def __init__(self, model: ConditionalFlow, run: Pass, seed: int) -> None:
        self.model = model
        self.run = run
        self.seed = seed
        self._graph: Graph | None = None
        self._generators: list[torch.Generator] = []
        self._possible = all(layer.compiles for step in model.steps() for layer in step)

    def forget(self) -> None:
        """Discard the recording, because other weights have gradients now."""
        self._graph = None

    def __call__(self, batch: Batch, part: Sequence[int]) -> Tensor:
        """Return the figures of a batch with these indices. Gradients are 0 before the first call."""
        if self._graph is None and self._possible:
            self._record(batch)
        if self._graph is None:
            return self.run(batch, noise_of(part, self.seed, batch[0].device))
        for generator, index in zip(self._generators, part, strict=True):
            generator.manual_seed(seed_of(self.seed, index))
        figures: Tensor = self._graph(*batch)
        return figures

    def _record(self, batch: Batch) -> None:
        device = batch[0].device
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        self._generators = noise_of(range(len(batch[0])), self.seed, device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            try:
                self._graph = Graph(
                    lambda *pair: self.run(pair, self._generators), *batch, generators=self._generators
                )
            except RuntimeError as error:
                self._possible = False
                why = str(error).partition("\n")[0]
                warnings.warn(
                    f"flowkit: training steps cannot be recorded as a CUDA graph ({why}); their kernels are "
                    "launched one by one: same results, slower.",
                    stacklevel=2,
                )
        # The warm-up passes have moved running statistics and added gradients.
        with torch.no_grad():
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(before)
        self.model.zero_grad(set_to_none=self._graph is None)
