"""The difference of data and features."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.layers.base import FlowLayer, Shape, no_log_det
from flowkit.registry import register


@register("subtract")
class Subtract(FlowLayer):
    """y = x - u for features u of as many channels; log|det| = 0.

    First in a flow, with an encoder whose features at stride 1 are the image enlarged (`rrdb` with
    `enlarged: true`), it leaves to the flow the difference from interpolation, as VDSR does for regression
    (Kim et al., arXiv:1511.04587). Before any training, the image at temperature 0 is the interpolated one.

    Raises:
        ShapeError: the features have other channels than the input.

    >>> import torch
    >>> from flowkit.layers import Shape, Subtract
    >>> layer = Subtract(Shape(1, 1), Shape(1, 1))
    >>> layer(torch.ones(1, 1, 1, 2), torch.full((1, 1, 1, 2), 0.25))[0]
    tensor([[[[0.7500, 0.7500]]]])
    """

    pointwise = True
    example_options: ClassVar = {"channels": 3}

    def __init__(self, shape: Shape, context: Shape) -> None:
        super().__init__(shape, context)
        if context.channels != shape.channels:
            raise ShapeError(
                f"subtract: needs features of {shape.channels} channels, as its input, got {context.channels}"
            )

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Subtract the features."""
        return inputs - context, no_log_det(inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Add the features."""
        return inputs + context, no_log_det(inputs)
