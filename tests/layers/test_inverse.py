from __future__ import annotations

import pytest
import torch

from flowkit import registry
from flowkit.errors import ShapeError
from flowkit.layers import (
    ActNorm,
    AffineCoupling,
    ConditionalConv1x1,
    FlowLayer,
    Inverse,
    Shape,
    Split,
    Squeeze,
)

OWN = [
    name
    for name in registry.names("layer")
    if registry.get("layer", name).__module__.startswith("flowkit.layers.")
]


def example(name: str) -> tuple[FlowLayer, torch.Tensor, torch.Tensor | None]:
    return registry.get("layer", name).example(torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", OWN)
def test_directions_are_swapped_in_every_layer_that_keeps_its_shape(name):
    layer, x, u = example(name)
    if layer.latent_channels or layer.out_shape != layer.shape:
        with pytest.raises(ShapeError, match=f"inverse of {type(layer).__name__}: only a layer that keeps"):
            Inverse.of(layer)
        return
    swapped = Inverse.of(layer)
    z, _ = layer(x, u)
    torch.testing.assert_close(swapped(z, u), layer.inverse(z, u))
    torch.testing.assert_close(swapped.inverse(x, u), layer(x, u))
    again = Inverse.of(swapped)
    torch.testing.assert_close(again(x, u), layer(x, u))
    if u is not None:
        torch.testing.assert_close(swapped(z, swapped.condition(u)), layer.inverse(z, u))
    assert (swapped.shape, swapped.out_shape, swapped.context) == (layer.shape, layer.shape, layer.context)


def test_what_it_says_of_itself_is_what_the_layer_inside_says():
    board = AffineCoupling(Shape(2, 1), Shape(3, 1), hidden=4, mask="checkerboard")
    assert Inverse.of(board).reach == board.reach > 0
    assert Inverse.of(board).grid == 2
    assert not Inverse.of(board).whole_image
    assert Inverse.of(ConditionalConv1x1(Shape(2, 1), Shape(3, 1))).whole_image


def test_an_actnorm_inside_is_never_initialised_from_what_is_not_data():
    layer = Inverse.of(registry.get("layer", "actnorm")(Shape(3, 1))).train()
    x = 5 + torch.randn(2, 3, 4, 4)
    assert torch.equal(layer(x)[0], x)
    assert not layer.layer.initialised


@pytest.mark.parametrize("layer", [Squeeze(Shape(3, 1)), Split(Shape(3, 1))])
def test_shapes_that_change_are_refused(layer):
    with pytest.raises(ShapeError, match=rf"inverse of {type(layer).__name__}: only a layer that keeps"):
        Inverse.of(layer)


def test_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"inverse of ActNorm: it takes Shape\(channels=3, .* but gets"):
        Inverse(Shape(2, 1), layer=registry.get("layer", "actnorm")(Shape(3, 1)))


def test_an_actnorm_inside_is_never_initialised():
    for inside in (
        ActNorm(Shape(2, 1)),
        AffineCoupling(Shape(2, 1), Shape(3, 1), hidden=4, network="srflow"),
    ):
        layer = Inverse.of(inside).train()
        before = {k: v.clone() for k, v in layer.state_dict().items()}
        x, u = 5 + 3 * torch.randn(2, 2, 4, 5), torch.randn(2, 3, 4, 5)
        layer(x, u)
        layer.inverse(x, u)
        assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())
