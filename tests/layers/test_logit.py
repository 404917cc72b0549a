from __future__ import annotations

import pytest
import torch

from flowkit.errors import ShapeError
from flowkit.layers import Logit, Shape, Sigmoid
from flowkit.layers.base import make_example
from flowkit.testing import check_layer

SHAPE = Shape(1, 1)


def row(*values: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype).reshape(1, 1, 1, -1).requires_grad_()


@pytest.mark.parametrize("eps", [0.0, 0.05])
def test_other_eps(eps):
    layer, x, _ = make_example(Logit, torch.Generator().manual_seed(0), eps=eps)
    check_layer(layer, torch.sigmoid(x))


def test_eps_is_the_alpha_of_realnvp():
    y, _ = Logit(SHAPE, eps=0.05)(row(0, 0.5, 1))
    expected = torch.logit(torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64))
    torch.testing.assert_close(y.flatten(), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_ends_of_the_interval_are_finite(dtype):
    layer, x = Logit(SHAPE), row(0, 1, dtype=dtype)
    y, log_det = layer(x)
    gradient = torch.autograd.grad(y.sum() + log_det.sum(), x)[0]
    assert all(value.isfinite().all() for value in (y, log_det, gradient))
    torch.testing.assert_close(layer.inverse(y)[0], x, rtol=0, atol=1e-6)


def test_outside_is_nan_and_not_a_number_that_means_nothing():
    y, _ = Logit(SHAPE)(row(-0.1, 1.1))
    assert y.isnan().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("value", [40.0, 1e4])
def test_large_values_are_finite_both_ways(dtype, value):
    for layer in (Sigmoid(SHAPE), Logit(SHAPE)):
        direction = layer.forward if isinstance(layer, Sigmoid) else layer.inverse
        x = row(-value, value, dtype=dtype)
        p, log_det = direction(x)
        gradient = torch.autograd.grad(p.sum() + log_det.sum(), x)[0]
        assert all(item.isfinite().all() for item in (p, log_det, gradient))
        change = -2 * value if isinstance(layer, Sigmoid) else -2 * value - 2 * torch.tensor(1 - 2e-6).log()
        assert log_det.item() == pytest.approx(float(change), rel=1e-6)
    p = row(0, 1, dtype=dtype)
    x, log_det = Sigmoid(SHAPE).inverse(p)
    gradient = torch.autograd.grad(x.sum() + log_det.sum(), p)[0]
    assert all(item.isfinite().all() for item in (x, log_det, gradient))
    assert x[..., 0] < -80
    assert x[..., 1] > 16
    assert Sigmoid(SHAPE).inverse(row(-0.1))[0].isnan().all()


def test_logit_without_eps_undoes_sigmoid():
    x = torch.randn(2, 1, 3, 4, dtype=torch.float64)
    p, down = Sigmoid(SHAPE)(x)
    back, up = Logit(SHAPE, eps=0.0)(p)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(up, -down)


@pytest.mark.parametrize("eps", [-0.1, 0.5])
def test_eps_out_of_range(eps):
    with pytest.raises(ShapeError, match=f"eps must be 0 or more, and less than 0.5, got {eps}"):
        Logit(SHAPE, eps=eps)
