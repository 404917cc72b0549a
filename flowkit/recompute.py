"""Training memory that does not grow with depth: what a step of the flow did is done again when it is needed.

Between the forward and the backward pass, only the variable at the start of each segment of steps is kept,
and of the conditions as many as `KEPT` allows; all else is computed again, segment by segment. Nothing
is inverted, so that the gradients are those of the plain path however badly conditioned the flow has become.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from flowkit.errors import FlowkitError
from flowkit.layers import FlowLayer
from flowkit.layers.features import Features, PartlyCoarse
from flowkit.layers.network import Conditioned, condition
from flowkit.path import to_latents

WORTHWHILE = 8  # steps; a shallower flow keeps everything
KEPT = 4.6  # times the features' size: as much is kept of starts and of first convolutions' outputs
SEGMENTS = 64  # whose starts are kept, at most; a deeper flow has longer segments ...
LEAST = 24  # ... and so has one whose starts would take more than half of what is kept, down to so many
READERS = 2  # layers that read features, at most, in one step

Step = list[FlowLayer]


def steps_of(layers: Sequence[FlowLayer]) -> list[Step]:
    """Cut a flow into steps: a few layers, of which the last one or two read features.

    A step is the least that is computed again at a time: with SRFlow's (actnorm, 1x1 convolution, injector,
    coupling), a recomputed part never holds the activations of more than two networks.
    """
    steps: list[Step] = []
    readers = 0
    for layer in layers:
        reads = layer.context is not None
        if not steps or (readers and not reads) or readers == READERS:
            steps.append([])
            readers = 0
        steps[-1].append(layer)
        readers += reads
    return steps


def to_latents_recomputing(
    steps: Sequence[Step], features: Mapping[int, Features], v: Tensor
) -> tuple[Tensor, ...]:
    """As `flowkit.path.to_latents`, keeping little for the backward pass.

    Layers must be functions of their inputs, features and parameters: one that drew random numbers would
    draw others in the backward pass. Gradients can be taken once, not differentiated again.
    """
    segments, kept = _plan(steps, features, v)
    log_dets, left = [], []
    for segment in segments:
        v, log_det, *more = _segment(segment, features, kept, v)
        log_dets.append(log_det)
        left += more
    return v, torch.stack(log_dets).sum(0), *left


def _segment(
    layers: Sequence[FlowLayer], features: Mapping[int, Features], kept: Collection[FlowLayer], v: Tensor
) -> tuple[Tensor, ...]:
    """Some steps, recomputed as a whole; the projections of the layers in `kept` are left to autograd."""
    read = {layer.context.stride: _features_of(layer, features) for layer in layers if layer.context}
    outside = [layer for layer in layers if isinstance(layer, Conditioned) and layer in kept]
    projected = [layer.project(_features_of(layer, features)) for layer in outside]

    def run(v: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        tensors = iter(rest)
        known = {layer: layer.complete(next(tensors)) for layer in outside}
        here = {stride: _like(maps, tensors) for stride, maps in read.items()}
        contexts = (known[layer] if layer in known else _context(layer, here) for layer in layers)
        return to_latents(layers, contexts, v)

    parts = [part for maps in read.values() for part in _parts(maps)]
    return recomputed(run, nn.ModuleList(layers), v, *projected, *parts)


def _context(layer: FlowLayer, features: Mapping[int, Features]) -> Any:
    return None if layer.context is None else condition(layer, _features_of(layer, features))


def _features_of(layer: FlowLayer, features: Mapping[int, Features]) -> Features:
    assert layer.context is not None
    return features[layer.context.stride]


def _parts(features: Features) -> Sequence[Tensor]:
    return (features,) if isinstance(features, Tensor) else features


def _like(features: Features, parts: Iterator[Tensor]) -> Features:
    return next(parts) if isinstance(features, Tensor) else PartlyCoarse(next(parts), next(parts))


def _plan(
    steps: Sequence[Step], features: Mapping[int, Features], v: Tensor
) -> tuple[list[list[FlowLayer]], set[FlowLayer]]:
    """The layers of each segment; and those whose projections are kept, the last first: they are small."""
    pixels = v[:, 0].numel() * v.element_size()

    def size(channels: int, stride: int) -> float:
        return pixels * channels / stride**2

    widths = {stride: sum(part.shape[1] for part in _parts(maps)) for stride, maps in features.items()}
    budget = KEPT * sum(size(channels, stride) for stride, channels in widths.items())
    shortest = math.ceil(len(steps) / SEGMENTS)
    longest = max(shortest, math.ceil(len(steps) / LEAST))
    for length in range(shortest, longest + 1):
        cuts = range(0, len(steps), length)
        segments = [[layer for step in steps[i : i + length] for layer in step] for i in cuts]
        starts = sum(size(*segment[0].shape) for segment in segments)
        if starts <= budget / 2:
            break
    kept: set[FlowLayer] = set()
    left = budget - starts
    for layer in reversed([layer for step in steps for layer in step]):
        if isinstance(layer, Conditioned) and layer.context:
            left -= size(layer.network.hidden, layer.context.stride)
            if left < 0:
                break
            kept.add(layer)
    return segments, kept


def recomputed(
    run: Callable[..., tuple[Tensor, ...]], module: nn.Module, *inputs: Tensor
) -> tuple[Tensor, ...]:
    """`run(*inputs)`, of which only the inputs are kept: the backward pass runs it again.

    Unlike `torch.utils.checkpoint`, this notices when an input, or a parameter of `module`, has been changed
    between the two: autograd's usual error, in place of the gradients of some other function.

    Args:
        run: tensors -> tensors, a function of its inputs and of the parameters of `module` alone.
        module: holds all parameters that `run` reads.
        inputs: of `run`.
    """
    tensors = (*inputs, *module.parameters())
    outputs: tuple[Tensor, ...] = _Recomputed.apply(run, module, len(inputs), *tensors)  # type: ignore[no-untyped-call]
    return outputs


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, run: Callable[..., tuple[Tensor, ...]], module: nn.Module, count: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        device = tensors[0].device.type
        ctx.run, ctx.module, ctx.parameters, ctx.device = run, module, tensors[count:], device
        ctx.autocast = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
        ctx.save_for_backward(*tensors)
        with _autocast(device, *ctx.autocast):
            return run(*tensors[:count])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved, wanted = ctx.saved_tensors, ctx.needs_input_grad[3:]  # unpacking finds what has been changed
        if any(now is not then for now, then in zip(ctx.module.parameters(), ctx.parameters, strict=True)):
            raise FlowkitError("parameters were replaced by others between the forward and the backward pass")
        count = len(saved) - len(ctx.parameters)
        inputs = [t.detach().requires_grad_(w) for t, w in zip(saved[:count], wanted[:count], strict=True)]
        with torch.enable_grad(), _autocast(ctx.device, *ctx.autocast):
            outputs = ctx.run(*inputs)
        differentiable = [(o, g) for o, g in zip(outputs, gradients, strict=True) if o.requires_grad]
        sources = zip((*inputs, *ctx.parameters), wanted, strict=True)
        found = iter(
            torch.autograd.grad(
                [output for output, _ in differentiable],
                [source for source, wants in sources if wants],
                [gradient for _, gradient in differentiable],
                allow_unused=True,
            )
        )
        return None, None, None, *(next(found) if wants else None for wants in wanted)


def _autocast(device: str, enabled: bool, dtype: torch.dtype) -> torch.autocast:
    # Without autocast's cache of weights: what it took in without gradients, it would hand out with them.
    return torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=False)
