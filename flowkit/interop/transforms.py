"""Layers as `torch.distributions` transforms, for libraries that take those: zuko, Pyro, torch itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Transform, constraints

from flowkit.errors import ShapeError
from flowkit.layers.base import FlowLayer


def as_transform(layer: FlowLayer, features: Tensor | None = None, *, vectors: bool = False) -> Transform:
    """Return a layer as a transform from data to latent, given features; `.inv` is the other direction.

    Zuko's transforms have this direction; torch's `TransformedDistribution` takes the inverse. Weights are
    shared. What `split` lets go stays behind the channels that go on.

    Args:
        layer: of images; any but those that change the size, if it is used for vectors.
        features: of conditional layers: (..., C, h, w), or (..., C) for vectors, to be broadcast with data.
        vectors: data are (..., C), not (..., C, H, W): one cell of the layer's.

    Raises:
        ShapeError: the layer wants features and gets none, or gets some and wants none.

    >>> from flowkit import Shape
    >>> from flowkit.layers import Conv1x1
    >>> rotation = as_transform(Conv1x1(Shape(3, 1)), vectors=True)
    >>> x = torch.randn(5, 4, 3)
    >>> rotation(x).shape, rotation.log_abs_det_jacobian(x, rotation(x)).shape
    (torch.Size([5, 4, 3]), torch.Size([5, 4]))
    """
    if (features is None) != (layer.context is None):
        wants = "no features" if layer.context is None else f"features of {layer.context.channels} channels"
        raise ShapeError(
            f"{type(layer).__name__} wants {wants}, got {'none' if features is None else 'some'}"
        )
    return _LayerTransform(layer, features, 1 if vectors else 3)


class _LayerTransform(Transform):
    bijective = True

    def __init__(self, layer: FlowLayer, features: Tensor | None, dims: int) -> None:
        super().__init__()
        self.layer = layer
        self.features = features
        self.dims = dims

    @property
    def domain(self) -> constraints.Constraint:  # type: ignore[override]  # torch declares an attribute
        real: Any = constraints.unit_interval if self.layer.unit else constraints.real
        independent: constraints.Constraint = constraints.independent(real, self.dims)  # type: ignore[no-untyped-call]
        return independent

    @property
    def codomain(self) -> constraints.Constraint:  # type: ignore[override]
        independent: constraints.Constraint = constraints.independent(constraints.real, self.dims)  # type: ignore[no-untyped-call]
        return independent

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map and give log|det|, in one pass; zuko calls it."""
        return self._run(x, inverse=False)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log|det| of the map from data to latent."""
        return self._run(x, inverse=False)[1]

    def forward_shape(self, shape: Any) -> torch.Size:
        """Return the shape of the latent."""
        return self._shape(shape, self.layer.shape.stride, self.layer.out_shape.stride, self._outputs())

    def inverse_shape(self, shape: Any) -> torch.Size:
        """Return the shape of the data."""
        return self._shape(
            shape, self.layer.out_shape.stride, self.layer.shape.stride, self.layer.shape.channels
        )

    def _call(self, x: Tensor) -> Tensor:
        return self._run(x, inverse=False)[0]

    def _inverse(self, y: Tensor) -> Tensor:
        return self._run(y, inverse=True)[0]

    def _outputs(self) -> int:
        return self.layer.out_shape.channels + self.layer.latent_channels

    def _shape(self, shape: Any, before: int, after: int, channels: int) -> torch.Size:
        if self.dims == 1:
            return torch.Size([*shape[:-1], channels])
        return torch.Size([*shape[:-3], channels, *(side * before // after for side in shape[-2:])])

    def _run(self, values: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        batch, features = values.shape[: -self.dims], self.features
        if features is not None:
            batch = torch.broadcast_shapes(batch, features.shape[: -self.dims])  # type: ignore[no-untyped-call]
            features = self._cells(features.expand(batch + features.shape[-self.dims :]))
        cells = self._cells(values.expand(batch + values.shape[-self.dims :]))
        run = self.layer.inverse if inverse else self.layer
        result, log_det = run(cells, features)
        return result.reshape(batch + result.shape[1 : 1 + self.dims]), log_det.reshape(batch)

    def _cells(self, values: Tensor) -> Tensor:
        """Return (..., C[, H, W]) as (B, C, H, W)."""
        event = values.shape[-self.dims :]
        return values.reshape(-1, *event) if self.dims == 3 else values.reshape(-1, *event, 1, 1)
