"""normflows' flows as layers, and layers as normflows' flows.

normflows' forward is noise -> data: its inverse is our forward. The methods are swapped, never a sign, since
in both libraries a log-det belongs to the direction that was run.
"""

from __future__ import annotations

from typing import Any, ClassVar

import normflows
import torch
from torch import Tensor

from flowkit.interop.host import HostLayer
from flowkit.layers.base import FlowLayer


class NormflowsLayer(HostLayer):
    """A `normflows.flows.Flow` as a layer; see `HostLayer`.

    Attributes:
        passes_context: the flow's methods take a context.
    """

    passes_context: ClassVar[bool] = False

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Run the flow's inverse."""
        return self._through(self._inverse, inputs, context)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Run the flow's forward."""
        return self._through(self._forward, inputs, context)

    def _forward(self, inputs: Tensor, context: Any) -> tuple[Tensor, Any]:
        result: tuple[Tensor, Any] = self.host(inputs, context) if self.passes_context else self.host(inputs)
        return result

    def _inverse(self, inputs: Tensor, context: Any) -> tuple[Tensor, Any]:
        function = self.host.inverse
        result: tuple[Tensor, Any] = function(inputs, context) if self.passes_context else function(inputs)
        return result


class _FromFlowkit(normflows.flows.Flow):  # type: ignore[misc]
    def __init__(self, layer: FlowLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, z: Any, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map noise to data, by the layer's inverse."""
        result: tuple[Tensor, Tensor] = self.layer.inverse(
            torch.cat(z, dim=1) if self.layer.latent_channels else z, context
        )
        return result

    def inverse(self, x: Tensor, context: Any = None) -> tuple[Any, Tensor]:
        """Map data to noise, by the layer's forward."""
        outputs, log_det = self.layer(x, context)
        if self.layer.latent_channels:
            kept = self.layer.out_shape.channels
            return [outputs[:, :kept], outputs[:, kept:]], log_det
        return outputs, log_det


def as_normflows(layer: FlowLayer) -> normflows.flows.Flow:
    """Wrap a layer as a flow for `NormalizingFlow`, `ConditionalNormalizingFlow` and `MultiscaleFlow`.

    A layer that reads features needs `ConditionalNormalizingFlow`: the others pass no context, and the layer
    raises an error. A layer that lets latents leave, such as `split`, becomes what `MultiscaleFlow` calls a
    merge: it takes and gives a list [what goes on, the latent]. The weights are shared.

    >>> from flowkit import Shape
    >>> from flowkit.layers import Squeeze
    >>> as_normflows(Squeeze(Shape(1, 1)))(torch.ones(1, 4, 2, 2))[0].shape
    torch.Size([1, 1, 4, 4])
    """
    return _FromFlowkit(layer)
