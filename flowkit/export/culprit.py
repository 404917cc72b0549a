"""The part of a model that cannot be exported, found by exporting each kind of part alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from flowkit import registry
from flowkit.flow import ConditionalFlow
from flowkit.layers import FlowLayer
from flowkit.layers.features import dense


class Alone(nn.Module):
    """A part of a model, and the function of it that is exported."""

    def __init__(self, part: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.part = part
        self.call = call

    def forward(self, *inputs: Tensor) -> Any:
        """Call it."""
        return self.call(*inputs)


def culprit(flow: ConditionalFlow, then: Callable[[ExportedProgram], None] | None) -> str:
    """Name the first layer, or the encoder or target, that cannot be exported by itself; else the model.

    Args:
        flow: the model.
        then: done with each program, beside the export itself.
    """
    for name, module, inputs in _parts(flow):
        try:
            with warnings.catch_warnings(action="ignore"), torch.enable_grad():
                program = torch.export.export(module, inputs, strict=False)
                if then is not None:
                    then(program)
        except Exception:  # torch raises exceptions of many types
            return name
    return "the model"


def _parts(flow: ConditionalFlow) -> Iterator[tuple[str, Alone, tuple[Tensor, ...]]]:
    """Yield the encoder, and one layer of each kind in each direction, with inputs."""
    like = next(flow.parameters())
    unit = 4 * flow.multiple
    image = torch.rand(2, flow.in_channels, unit, unit).to(like)
    yield f"the encoder ({type(flow.encoder).__name__})", Alone(flow.encoder, flow.encoder), (image,)
    with torch.no_grad():
        features = flow.encoder.features(image)
    seen = set()
    for layer in flow.flow_layers():
        if type(layer) in seen:
            continue
        seen.add(type(layer))
        side = unit * flow.scale // layer.shape.stride
        v = torch.rand(2, layer.shape.channels, side, side).to(like)
        given = () if layer.context is None else (dense(features[layer.context.stride]),)
        with torch.no_grad():
            z, _ = layer(v, *given)
        for way, x in ((layer.forward, v), (layer.inverse, z)):
            yield f'layer "{_name(layer)}"', Alone(layer, way), (x, *given)


def _name(layer: FlowLayer) -> str:
    names = [name for name in registry.names("layer") if registry.get("layer", name) is type(layer)]
    return names[0] if names else type(layer).__name__
