"""Training memory that does not grow with depth: steps of the flow are recomputed when they are needed.

Between the forward and the backward pass, only the variable at the start of each segment of steps is kept,
and as many of the networks' first hidden values as `KEPT` allows: they are dear, since it is there that the
image is read, and half of them are 0 and take no room. All else is computed again, segment by segment.
Nothing is inverted, so that the gradients are those of the plain path however badly conditioned the flow is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from flowkit.device import autocast_again, autocast_of
from flowkit.errors import FlowkitError
from flowkit.flow.passes import to_latents
from flowkit.flow.sparse_packing import Layout, pack, packed_share, unpack
from flowkit.layers import FlowLayer
from flowkit.layers.features import Features, PartlyCoarse
from flowkit.layers.network import Conditioned, condition
from flowkit.layers.saved_hidden import Noted

WORTHWHILE = 8  # steps; a shallower flow keeps everything
KEPT = 4.6  # memory budget for saved tensors, as a multiple of the feature maps' size
ZEROS = 0.45  # assumed share of zeros among them: half in untrained networks, later more
SEGMENTS = 64  # most segments; a deeper flow has longer ones ...
LEAST = 24  # ... and one whose starts would take over half of the budget has so few
READERS = 2  # layers that read features, at most, in one step

Step = list[FlowLayer]


class Plan(NamedTuple):
    """The tensors to keep.

    Attributes:
        segments: the flow in parts; the variable at the start of each is kept.
        noted: layers whose networks' first hidden values are kept, and whether these are packed.
    """

    segments: list[list[FlowLayer]]
    noted: dict[FlowLayer, bool]


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
    """Map data to latents as `flowkit.flow.passes.to_latents`, keeping little for the backward pass.

    Layers must be functions of their inputs, features and parameters: one that drew random numbers would
    draw others in the backward pass. Gradients can be taken once, not differentiated again.
    """
    plan = _plan(steps, features, v)
    log_dets, left = [], []
    for segment in plan.segments:
        v, log_det, *more = _segment(segment, features, plan.noted, v)
        log_dets.append(log_det)
        left += more
    return v, torch.stack(log_dets).sum(0), *left


def _segment(
    layers: Sequence[FlowLayer], features: Mapping[int, Features], noted: Mapping[FlowLayer, bool], v: Tensor
) -> tuple[Tensor, ...]:
    """Run some steps, recomputed as a whole; autograd keeps the projections of the layers in `noted`."""
    read = {layer.context.stride: _features_of(layer, features) for layer in layers if layer.context}
    outside = [layer for layer in layers if isinstance(layer, Conditioned) and layer in noted]
    projected = [layer.project(_features_of(layer, features)) for layer in outside]

    def run(notes: Sequence[Noted], v: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        tensors = iter(rest)
        here = {stride: _like(maps, tensors) for stride, maps in read.items()}
        of = dict(zip(outside, notes, strict=True))
        contexts = (
            layer.complete(of[layer])
            if isinstance(layer, Conditioned) and layer in of
            else _context(layer, here)
            for layer in layers
        )
        return to_latents(layers, contexts, v)

    parts = [part for maps in read.values() for part in _parts(maps)]
    packed = [noted[layer] for layer in outside]
    return recomputed(run, nn.ModuleList(layers), list(zip(projected, packed, strict=True)), v, *parts)


def _context(layer: FlowLayer, features: Mapping[int, Features]) -> Any:
    return None if layer.context is None else condition(layer, _features_of(layer, features))


def _features_of(layer: FlowLayer, features: Mapping[int, Features]) -> Features:
    assert layer.context is not None
    return features[layer.context.stride]


def _parts(features: Features) -> Sequence[Tensor]:
    return (features,) if isinstance(features, Tensor) else features


def _like(features: Features, parts: Iterator[Tensor]) -> Features:
    return next(parts) if isinstance(features, Tensor) else PartlyCoarse(next(parts), next(parts))


def _plan(steps: Sequence[Step], features: Mapping[int, Features], v: Tensor) -> Plan:
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
    sizes = {  # the last first: they are small
        layer: size(layer.network.hidden, layer.context.stride)
        for layer in reversed([layer for step in steps for layer in step])
        if isinstance(layer, Conditioned) and layer.context
    }
    # packing is done by NumPy on the CPU; on a device, the number of zeros would have to be waited for
    share = packed_share(v.dtype, ZEROS) if v.device.type == "cpu" else 1.0
    return Plan(segments, _noted(sizes, budget - starts, share))


def _noted(sizes: Mapping[FlowLayer, float], budget: float, share: float) -> dict[FlowLayer, bool]:
    """Choose the layers that fit, in the order of `sizes`; pack as few as leave none out.

    Packing leaves `share` of a layer's size; at 1 nothing is packed.
    """
    spare = budget - share * sum(sizes.values())
    noted = {}
    for layer, size in sizes.items():
        whole = spare >= (1 - share) * size
        if whole:
            spare -= (1 - share) * size
        budget -= size if whole else share * size
        if budget < 0:
            break
        noted[layer] = not whole and share < 1
    return noted


def recomputed(
    run: Callable[..., tuple[Tensor, ...]],
    module: nn.Module,
    projected: Sequence[tuple[Tensor, bool]],
    *inputs: Tensor,
) -> tuple[Tensor, ...]:
    """Return `run(notes, *inputs)`; only inputs and notes are kept, and the backward pass runs it again.

    Unlike `torch.utils.checkpoint`, this notices when an input, or a parameter of `module`, has been changed
    between the two: autograd's usual error, in place of the gradients of some other function.

    Args:
        run: tensors -> tensors, a function of its inputs and of the parameters of `module` alone. A network
            that is given one of its `notes` notes its first hidden values there; when it runs again they are
            known, and the projections they came from are gone.
        module: holds all parameters that `run` reads.
        projected: for each note the projection, and whether what is noted is packed.
        inputs: of `run`.
    """
    tensors = (*(tensor for tensor, _ in projected), *inputs, *module.parameters())
    packed = [packs for _, packs in projected]
    outputs: tuple[Tensor, ...] = _Recomputed.apply(run, module, packed, len(inputs), *tensors)  # type: ignore[no-untyped-call]
    return outputs


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        run: Callable[..., tuple[Tensor, ...]],
        module: nn.Module,
        packed: Sequence[bool],
        count: int,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        device = tensors[-1].device.type
        projected, inputs = tensors[: len(packed)], tensors[len(packed) : len(packed) + count]
        ctx.run, ctx.module, ctx.parameters, ctx.device = run, module, tensors[len(packed) + count :], device
        ctx.autocast = autocast_of(device)
        notes = [Noted(tensor) for tensor in projected]
        with autocast_again(device, *ctx.autocast):
            outputs = run(notes, *inputs)
        ctx.projected = [(tensor.shape, tensor.dtype) for tensor in projected]
        ctx.layouts, kept = _keep(notes, packed)
        ctx.count = count
        ctx.save_for_backward(*tensors[len(packed) :], *kept)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved, wanted = ctx.saved_tensors, ctx.needs_input_grad[4:]  # unpacking finds what has been changed
        if any(now is not then for now, then in zip(ctx.module.parameters(), ctx.parameters, strict=True)):
            raise FlowkitError("parameters were replaced by others between the forward and the backward pass")
        given, kept = saved[: ctx.count], saved[ctx.count + len(ctx.parameters) :]
        stand_ins = [given[0].new_zeros((), dtype=dtype).expand(shape) for shape, dtype in ctx.projected]
        inputs = [
            tensor.detach().requires_grad_(wants)
            for tensor, wants in zip((*stand_ins, *given), wanted[: len(stand_ins) + ctx.count], strict=True)
        ]
        hidden = _kept(ctx.layouts, kept)
        notes = [Noted(*pair) for pair in zip(inputs[: len(stand_ins)], hidden, strict=True)]
        with torch.enable_grad(), autocast_again(ctx.device, *ctx.autocast):
            outputs = ctx.run(notes, *inputs[len(stand_ins) :])
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
        return None, None, None, None, *(next(found) if wants else None for wants in wanted)


def _keep(notes: Sequence[Noted], packed: Sequence[bool]) -> tuple[list[Layout | None], list[Tensor]]:
    """Return the notes as tensors that autograd can keep, and a function that reads them."""
    layouts: list[Layout | None] = []
    kept: list[Tensor] = []
    for note, packs in zip(notes, packed, strict=True):
        assert note.hidden is not None
        layout, *tensors = pack(note.hidden) if packs else (None, note.hidden)
        layouts.append(layout)
        kept += tensors
    return layouts, kept


def _kept(layouts: Sequence[Layout | None], kept: Sequence[Tensor]) -> Iterator[Tensor]:
    tensors = iter(kept)
    for layout in layouts:
        yield next(tensors) if layout is None else unpack(layout, next(tensors), next(tensors))
