"""The inverse of a layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.layers.base import FlowLayer, Shape
from flowkit.layers.coupling import AffineCoupling
from flowkit.registry import register


@register("inverse")
class Inverse(FlowLayer):
    """The layer inside with its directions swapped: forward is its inverse, inverse its forward.

        swapped = Inverse.of(layer)                                  # in Python
        - {type: inverse, layer: {type: affine_coupling, hidden: 8}}     # in a recipe

    Log-dets are those of the direction that was run; the features, if the layer inside reads any, are the
    layer's own. An `actnorm` inside is trained like any other parameter, but never initialised from data,
    because the values that it sees are not data.

    Args:
        shape: of the input.
        layer: the layer inside, which takes and returns this shape.

    Raises:
        ShapeError: the layer takes another shape, returns another one, or has latents.

    >>> import torch
    >>> from flowkit.layers import Inverse, Logit, Shape
    >>> layer = Inverse.of(Logit(Shape(1, 1), eps=0))
    >>> layer(torch.zeros(1, 1, 1, 2))[0]
    tensor([[[[0.5000, 0.5000]]]])
    """

    def __init__(self, shape: Shape, *, layer: FlowLayer) -> None:
        super().__init__(shape, layer.context)
        name = type(layer).__name__
        if layer.shape != shape:
            raise ShapeError(f"inverse of {name}: it takes {layer.shape}, but gets {shape}")
        if layer.latent_channels or layer.out_shape != shape:
            raise ShapeError(f"inverse of {name}: only a layer that keeps its input's shape has one")
        self.layer: FlowLayer = layer.eval()
        self.reach = layer.reach
        self.affine = layer.affine
        self.pointwise = layer.pointwise
        self.compiles = layer.compiles
        self.grid = layer.grid
        self.whole_image = layer.whole_image

    @classmethod
    def of(cls, layer: FlowLayer) -> Inverse:
        """Swap the directions of a layer."""
        return cls(layer.shape, layer=layer)

    @classmethod
    def example(cls, generator: torch.Generator) -> tuple[FlowLayer, Tensor, Tensor | None]:
        """Make an example for the tests: the inverse of an affine coupling."""
        layer, inputs, features = AffineCoupling.example(generator)
        return cls.of(layer).eval(), inputs, features

    def train(self, mode: bool = True) -> Inverse:
        """Set the mode of this layer alone: the one inside stays in eval mode, since it does not see data."""
        self.training = mode  # no walk down the modules, which each level of nested inverses would double
        return self

    def condition(self, features: Tensor) -> Any:
        """Return the context that the layer inside makes from the features."""
        return self.layer.condition(features)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Run the inverse of the layer inside."""
        return self.layer.inverse(inputs, context)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Run the forward of the layer inside."""
        return self.layer.forward(inputs, context)
