"""The matrix that the image decides: always invertible, of the whole image."""

from __future__ import annotations

import pytest
import torch

from flowkit.errors import ShapeError
from flowkit.layers import ConditionalConv1x1, Shape

MOST = 1614  # the condition number that the docstring promises


def make() -> tuple[ConditionalConv1x1, torch.Tensor, torch.Tensor]:
    return ConditionalConv1x1.example(torch.Generator().manual_seed(0))


def test_the_matrix_its_inverse_and_its_determinant():
    layer, x, u = make()
    weight, inverse, log_det = layer.condition(u)
    assert not torch.allclose(weight[0], weight[1])
    torch.testing.assert_close(weight @ inverse, torch.eye(5).double().expand(2, 5, 5))
    torch.testing.assert_close(log_det, torch.linalg.slogdet(weight)[1])
    y, total = layer(x, u)
    torch.testing.assert_close(y, torch.einsum("bij,bjhw->bihw", weight, x))
    torch.testing.assert_close(total, 12 * log_det)


def test_an_untrained_layer_is_a_rotation():
    torch.manual_seed(0)
    layer = ConditionalConv1x1(Shape(6, 1), Shape(3, 1)).double()
    weight, _, log_det = layer.condition(torch.randn(1, 3, 2, 2).double())
    torch.testing.assert_close(weight[0] @ weight[0].T, torch.eye(6).double())
    assert (weight[0] - torch.eye(6)).abs().max() > 0.1
    assert not log_det.any()


@pytest.mark.parametrize("channels", [1, 3, 24])
@pytest.mark.parametrize("signs", ["plus", "minus", "random"])
def test_no_network_makes_it_singular(channels, signs):
    torch.manual_seed(0)
    layer = ConditionalConv1x1(Shape(channels, 1), Shape(3, 1), hidden=4)
    random = torch.randn(channels**2)
    sign = {"plus": random.abs(), "minus": -random.abs(), "random": random}[signs].sign()
    with torch.no_grad():
        layer.out.bias.copy_(1e4 * sign)
    u, x = torch.randn(2, 3, 2, 2, requires_grad=True), torch.randn(2, channels, 3, 4, requires_grad=True)
    weight, inverse, _ = layer.condition(u)
    assert torch.linalg.cond(weight).max() < MOST
    torch.testing.assert_close(weight @ inverse, torch.eye(channels).double().expand_as(weight))
    for direction, back in ((layer.forward, layer.inverse), (layer.inverse, layer.forward)):
        y, log_det = direction(x, u)
        gradients = torch.autograd.grad(y.sum() + log_det.sum(), [x, u, *layer.parameters()])
        assert all(value.isfinite().all() for value in (y, log_det, *gradients))
        assert (back(y, u)[0] - x).abs().max() <= 1e-3


def test_it_reads_the_mean_of_the_whole_image_and_says_so():
    layer, x, u = make()
    moved = u.flip(2).roll(1, dims=3)
    torch.testing.assert_close(layer(x, moved), layer(x, u))
    far = u.clone()
    far[:, :, 2, 3] += 5
    assert ((layer(x, far)[0] - layer(x, u)[0])[:, :, 0, 0] != 0).all()
    assert layer.whole_image


def test_hidden_must_be_positive():
    with pytest.raises(ShapeError, match="hidden must be positive, got 0"):
        ConditionalConv1x1(Shape(2, 1), Shape(3, 1), hidden=0)
