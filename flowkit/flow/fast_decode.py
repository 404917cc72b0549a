"""Fast decoding of many samples of one image, or of a part of it, on a CPU.

Layers come first and samples second: a layer's context is made once, serves every sample while the caches
hold it, and is dropped. What is only there to be seen from the core is cut off as soon as nothing sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowkit.flow.coupling_stages import Stage, stages
from flowkit.flow.folding import folded
from flowkit.flow.model import ConditionalFlow
from flowkit.flow.passes import at_once, invert
from flowkit.layers import FlowLayer
from flowkit.layers.features import Features, PartlyCoarse
from flowkit.layers.network import condition


class Margins(NamedTuple):
    """The margins of a window around its core, in target pixels."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


NONE = Margins()


class Decoder:
    """A decoder of latents to targets, as `ConditionalDistribution.decode`, without gradients.

    Runs of layers that are the same affine map at every cell are folded into one, in float64, when this is
    made: it is for parameters that do not change.

    Args:
        flow: the model.
        layers: of its layers, those to decode through; all by default.
    """

    @torch.no_grad()
    def __init__(self, flow: ConditionalFlow, layers: Iterable[FlowLayer] | None = None) -> None:
        self.target = flow.target
        steps = folded(flow.flow_layers() if layers is None else layers)[::-1]
        self.stages = list(stages(steps))
        unit = flow.path_grid * flow.scale  # windows may begin at its multiples
        reach = max(shape.stride for shape in flow.latents)
        self.needed: list[int] = []  # margin before each stage: what it and those after it reach
        for stage in reversed(self.stages):
            reach += sum(layer.reach * layer.shape.stride for layer in stage.layers)
            self.needed.insert(0, -(-reach // unit) * unit)

    @torch.no_grad()
    def __call__(
        self,
        features: Mapping[int, Features],
        latents: Sequence[Sequence[Tensor]],
        margins: Margins = NONE,
        *,
        contexts: Mapping[FlowLayer, Any] | None = None,
    ) -> list[Tensor]:
        """Decode the core of every sample's y, (B, C, h, w).

        Args:
            features: of the window, by stride. If they are of a lower precision than the parameters, so are
                the hidden values of networks that read them; what is done to latents is not.
            latents: of each sample, in the window, in the order of `ConditionalDistribution.decode`.
            margins: of the window; all features and latents that can change the core must be inside. They
                are multiples of the model's `path_grid`, or end where the image does.
            contexts: what the layers make of the features, for a window without margins: made already.
        """
        images = latents[0][0].shape[0]
        most = self._at_once(latents[0][-1]) if images == 1 else 1
        groups = [latents[i : i + most] for i in range(0, len(latents), most)]
        left = [[_joined(zs) for zs in zip(*group, strict=True)] for group in groups]
        values: Sequence[Tensor] = [zs.pop() for zs in left]
        kept = margins
        seen: dict[int, Features] = {}  # by stride: of the window as it is now

        def context_of(layer: FlowLayer) -> Any:
            if layer.context is None:
                return None
            if contexts:
                return contexts[layer]
            stride = layer.context.stride
            if stride not in seen:
                seen[stride] = _cut_features(features[stride], margins, kept, stride)
            return condition(layer, seen[stride])

        for stage, needed in zip(self.stages, self.needed, strict=True):
            before, kept = kept, self._kept(margins, needed)
            if kept != before:
                seen.clear()
            first = stage.layers[0]
            values = [_cut(v, before, kept, first.out_shape.stride) for v in values]
            if first.latent_channels:
                joining = (_cut(zs.pop(), margins, kept, first.out_shape.stride) for zs in left)
                values = [torch.cat(pair, dim=1) for pair in zip(values, joining, strict=True)]
            values = _inverse(stage, values, [context_of(layer) for layer in stage.layers], images)
        cores = (self.target.restore(_cut(v, kept, NONE, 1)) for v in values)
        return [y for core in cores for y in torch.split(core, images)]

    def _at_once(self, z: Tensor) -> int:
        """Return the number of samples per batch, if one has this latent last."""
        stride = self.stages[0].layers[0].out_shape.stride
        return at_once(z.shape[2] * stride, z.shape[3] * stride, z.device)

    def _kept(self, margins: Margins, needed: int) -> Margins:
        """Return the margins that are left when so much is needed on every side.

        Windows that were of one size stay so: one that lies at the image's edge, and has its margin on one
        side, loses as much there as another loses on two.
        """
        spare = 2 * (self.needed[0] - needed)
        first, last = margins[0::2], margins[1::2]
        kept = []
        for before, after in zip(first, last, strict=True):
            least = min(before, needed) + min(after, needed)
            together = max(least, before + after - spare)
            end = min(after, together - min(before, needed))
            kept += [together - end, end]
        return Margins(*kept)


def _cut_features(features: Features, before: Margins, after: Margins, stride: int) -> Features:
    if isinstance(features, PartlyCoarse):
        parts = (_cut(part, before, after, n * stride) for n, part in enumerate(features, start=1))
        return PartlyCoarse(*parts)
    found = _cut(features, before, after, stride)
    if features.device.type == "cpu" and features.is_contiguous(memory_format=torch.channels_last):
        return found.contiguous(memory_format=torch.channels_last)  # several layers read it
    return found


def _joined(zs: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(zs)) if len(zs) > 1 else zs[0]  # a copy of one would be for nothing


def _inverse(
    stage: Stage, values: Sequence[Tensor], contexts: Sequence[Any], images: int
) -> Sequence[Tensor]:
    """Invert values that hold one sample or several each, of so many images."""
    at_once = stage.at_once(values, contexts)
    if at_once is not None:
        return at_once
    for layer, context in zip(stage.layers, contexts, strict=True):
        if layer.pointwise and len(values) > 1:
            # What the image makes of 0 and of 1 says all: one pass for each sample.
            zero = torch.zeros_like(values[0][:images])
            shift, at_one = (layer.inverse(probe, context)[0] for probe in (zero, zero + 1))
            gain = at_one - shift
            values = [torch.addcmul(shift, v, gain) for v in values]
        else:
            values = [invert(layer, v, context, v.shape[0] // images)[0] for v in values]
    return values


def _cut(values: Tensor, before: Margins, after: Margins, stride: int) -> Tensor:
    """Cut the values of a window with margins `before` to the smaller one with margins `after`."""
    top, bottom, left, right = ((old - new) // stride for old, new in zip(before, after, strict=True))
    height, width = values.shape[2:]
    return values[:, :, top : height - bottom, left : width - right]
