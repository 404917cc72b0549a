from __future__ import annotations

import torch

from flowkit.layers import Permute, Reverse, Shape

X = torch.arange(2 * 7 * 6.0).reshape(2, 7, 2, 3)


def test_the_channels_are_moved_and_nothing_else():
    layer = Permute(Shape(7, 1), seed=1)
    y, log_det = layer(X)
    assert sorted(layer.order.tolist()) == list(range(7))
    assert layer.order.tolist() != list(range(7))
    for to, origin in enumerate(layer.order.tolist()):
        assert torch.equal(y[:, to], X[:, origin])
    assert torch.equal(layer.inverse(y)[0], X)
    assert torch.equal(log_det, torch.zeros(2))


def test_a_seed_is_an_order_and_without_one_each_layer_has_its_own():
    assert torch.equal(Permute(Shape(30, 1), seed=4).order, Permute(Shape(30, 1), seed=4).order)
    assert not torch.equal(Permute(Shape(30, 1), seed=4).order, Permute(Shape(30, 1), seed=5).order)
    torch.manual_seed(0)
    first, second = Permute(Shape(30, 1)), Permute(Shape(30, 1))
    assert not torch.equal(first.order, second.order)
    torch.manual_seed(0)
    assert torch.equal(Permute(Shape(30, 1)).order, first.order)


def test_a_seed_leaves_the_generator_of_the_weights_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    Permute(Shape(30, 1), seed=4)
    assert torch.equal(torch.rand(1), expected)


def test_the_order_travels_with_the_weights():
    layer, other = Permute(Shape(30, 1), seed=4), Permute(Shape(30, 1), seed=5)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(1, 30, 2, 2)
    assert torch.equal(other(x)[0], layer(x)[0])
    assert torch.equal(other.inverse(x)[0], layer.inverse(x)[0])


def test_reverse():
    layer = Reverse(Shape(7, 1))
    for direction in (layer.forward, layer.inverse):
        y, log_det = direction(X)
        assert torch.equal(y, X[:, [6, 5, 4, 3, 2, 1, 0]])
        assert torch.equal(log_det, torch.zeros(2))
