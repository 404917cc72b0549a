"""CUDA graphs: a call's work on the device, recorded once and then launched as a whole.

A flow is hundreds of small kernels, one after another; for a single image a GPU spends most of its time
waiting for Python to launch them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from flowkit.device import autocast_again, autocast_of
from flowkit.errors import FlowkitError, ShapeError
from flowkit.flow.fast_decode import Decoder
from flowkit.flow.latents import (
    Temperature,
    check_generators,
    check_sample_shape,
    check_temperatures,
    draw_latents,
)
from flowkit.flow.model import ConditionalFlow
from flowkit.targets import Generators

WARM = 3  # calls before the recording: in the first, libraries choose algorithms and take their workspaces


class Graph:
    """A function of CUDA tensors, recorded for tensors of these shapes.

    Results are the same memory in every call: copy what is to be kept. All else that `call` reads, such as
    weights, is read where it lay when it was recorded.

    Args:
        call: launches work on the current stream, and waits for none of it.
        inputs: tensors like those of all later calls.
        generators: that it draws from, beside torch's own; each call goes on from where they stand then.

    Raises:
        RuntimeError: `call` waits for the device.
    """

    def __init__(
        self, call: Callable[..., Any], *inputs: Tensor, generators: Sequence[torch.Generator] = ()
    ) -> None:
        self.inputs = [given.detach().clone() for given in inputs]
        here = torch.cuda.current_stream(self.inputs[0].device)
        aside = torch.cuda.Stream(here.device)  # type: ignore[no-untyped-call]  # torch leaves it so
        aside.wait_stream(here)
        autocast = "cuda", *autocast_of("cuda")
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                with autocast_again(*autocast):
                    call(*self.inputs)
        here.wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        for generator in generators:
            self.graph.register_generator_state(generator)
        own = torch.cuda.default_generators[here.device.index]
        before = own.clone_state()
        try:
            # other threads may go on: those that read data take pinned memory
            with (
                torch.cuda.graph(self.graph, capture_error_mode="thread_local"),
                autocast_again(*autocast),
            ):
                self.results = call(*self.inputs)
        except RuntimeError:
            own.graphsafe_set_state(before)  # it would wait for the end of the recording indefinitely
            raise

    def __call__(self, *inputs: Tensor) -> Any:
        """Return `call(*inputs)`."""
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        self.graph.replay()
        return self.results


class CapturedSampler:
    """`model(image).sample(samples)` as one launch: for images of one shape, on a CUDA device.

        draw = CapturedSampler(model, image, samples=64)
        y = draw(image, temperature=0.8)                    # (64, B, C, H, W)

    Weights are those of the moment: training that goes on does not change what is drawn.

    Args:
        model: any flow whose layers do not wait for the device.
        image: (B, C, h, w), like all that samples will be drawn for.
        samples: of each image, in one call.

    Raises:
        FlowkitError: the model is not on a CUDA device.
        ShapeError: an image that the model does not take.
        RuntimeError: a layer waits for the device.
    """

    @torch.no_grad()
    def __init__(self, model: ConditionalFlow, image: Tensor, *, samples: int = 1) -> None:
        device = next(model.parameters()).device
        if device.type != "cuda":
            raise FlowkitError(f"CUDA graphs are for models on CUDA devices; this one is on {device}")
        check_sample_shape(samples)
        self._model = copy.deepcopy(model).eval().requires_grad_(False)
        self._model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a form not declared
        self._decoder = Decoder(self._model)
        self._samples = samples
        self._shapes = self._model(image).latent_shapes  # refuses what does not fit
        self._graph = Graph(self._decode, image, *self._latents(image, 0.0, None))

    @torch.no_grad()
    def __call__(
        self, image: Tensor, *, temperature: Temperature = 1.0, generator: Generators = None
    ) -> Tensor:
        """Draw as `ConditionalDistribution.sample`: y of shape (n, B, C, H, W).

        Raises:
            TensorError: an image that the model does not take; values are looked at, see `unchecked`.
            ShapeError: an image of another shape.
            ValueError: temperatures or generators that `ConditionalDistribution.sample` refuses.
        """
        self._model.check_image(image)
        expected = self._graph.inputs[0].shape
        if image.shape != expected:
            raise ShapeError(f"captured for images {tuple(expected)}, got {tuple(image.shape)}")
        y: Tensor = self._graph(image, *self._latents(image, temperature, generator))
        return y.clone()

    def _latents(self, image: Tensor, temperature: Temperature, generator: Generators) -> list[Tensor]:
        temperatures = check_temperatures(temperature, len(self._shapes), image)
        check_generators(generator, image.shape[0])
        each = [draw_latents(self._shapes, image, temperatures, generator) for _ in range(self._samples)]
        return [torch.cat(zs) for zs in zip(*each, strict=True)]

    def _decode(self, image: Tensor, *latents: Tensor) -> Tensor:
        model = self._model
        features = model.encoder.features(image.contiguous(memory_format=torch.channels_last))
        layers = [layer for step in model.steps() for layer in step]
        contexts = dict(zip(layers, model.condition(features), strict=True))
        each = zip(*(z.chunk(self._samples) for z in latents), strict=True)
        return torch.stack(self._decoder(features, list(each), contexts=contexts))
