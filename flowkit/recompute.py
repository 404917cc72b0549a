"""Training memory that does not grow with depth: what a step of the flow did is done again when it is needed.

Between the forward and the backward pass, only the variable at the start of each segment of steps is kept,
and of the conditions as many as `CONDITIONS` allows; all else is computed again, segment by segment. Nothing
is inverted, so that the gradients are those of the plain path however badly conditioned the flow has become.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from flowkit.errors import FlowkitError
from flowkit.layers import FlowLayer
from flowkit.layers.network import Conditioned
from flowkit.path import to_latents

WORTHWHILE = 8  # steps; a shallower flow keeps everything
SEGMENTS = 24  # whose starts are kept; a deeper flow has longer segments
CONDITIONS = 4.25  # times the features' size: as much of the first convolutions' outputs is kept
READERS = 2  # layers that read features, at most, in one step

Features = Mapping[int, Tensor]
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


def to_latents_recomputing(steps: Sequence[Step], features: Features, v: Tensor) -> tuple[Tensor, ...]:
    """As `flowkit.path.to_latents`, keeping little for the backward pass.

    Layers must be functions of their inputs, features and parameters: one that drew random numbers would
    draw others in the backward pass. Gradients can be taken once, not differentiated again.
    """
    length = math.ceil(len(steps) / SEGMENTS)
    kept = _within_budget([layer for step in steps for layer in step], features)
    segments = [steps[i : i + length] for i in range(0, len(steps), length)]
    return _chain([functools.partial(_segment, segment, features, kept, {}) for segment in segments], v)


def _segment(
    segment: Sequence[Step],
    features: Features,
    kept: Collection[FlowLayer],
    known: Mapping[FlowLayer, Tensor],
    v: Tensor,
) -> tuple[Tensor, ...]:
    """Some steps, recomputed as a whole; the projections of the layers in `kept` are left to autograd."""
    layers = [layer for step in segment for layer in step]
    strides = sorted({layer.context.stride for layer in layers if layer.context is not None})
    outside = [layer for layer in layers if isinstance(layer, Conditioned) and layer in kept]

    def run(v: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        here = dict(zip(strides, rest, strict=False))
        projected: dict[FlowLayer, Tensor] = dict(zip(outside, rest[len(strides) :], strict=True))
        if torch.is_grad_enabled() and len(segment) > 1:
            # The backward pass has come to this segment, whose steps are now recomputed one by one. All their
            # projections are kept until then, or these convolutions, the dearest part, would run once more.
            return _chain([functools.partial(_segment, [step], here, step, projected) for step in segment], v)
        return to_latents(layers, (_context(layer, here, projected) for layer in layers), v)

    inputs = [features[stride] for stride in strides]
    for layer in outside:
        inputs.append(known[layer] if layer in known else layer.project(_features_of(layer, features)))
    return recomputed(run, nn.ModuleList(layers), v, *inputs)


def _chain(parts: Iterable[Callable[[Tensor], tuple[Tensor, ...]]], v: Tensor) -> tuple[Tensor, ...]:
    log_dets, left = [], []
    for part in parts:
        v, log_det, *more = part(v)
        log_dets.append(log_det)
        left += more
    return v, torch.stack(log_dets).sum(0), *left


def _context(layer: FlowLayer, features: Features, projected: Mapping[FlowLayer, Tensor]) -> Any:
    if layer in projected:
        assert isinstance(layer, Conditioned)
        return layer.complete(projected[layer])
    return None if layer.context is None else layer.condition(_features_of(layer, features))


def _features_of(layer: FlowLayer, features: Features) -> Tensor:
    assert layer.context is not None
    return features[layer.context.stride]


def _within_budget(layers: Sequence[FlowLayer], features: Features) -> set[FlowLayer]:
    """The layers whose projections are kept; the last come first, for they are the smallest."""
    left = CONDITIONS * sum(map(_size, features.values()))
    kept: set[FlowLayer] = set()
    for layer in reversed(layers):
        if isinstance(layer, Conditioned):
            source = _features_of(layer, features)
            left -= _size(source) / source.shape[1] * layer.network.hidden
            if left < 0:
                break
            kept.add(layer)
    return kept


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


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
