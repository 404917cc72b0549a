from __future__ import annotations

import pytest
import torch

from flowkit.layers import Conv1x1, Shape
from flowkit.layers.base import make_example
from flowkit.testing import check_layer


def test_the_kept_inverse_follows_the_weight():
    torch.manual_seed(0)
    layer = Conv1x1(Shape(4, 1)).double()
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        layer.inverse(x)
        kept = layer._cache
        layer.inverse(x)
        assert layer._cache is kept
        layer.weight.mul_(2).add_(0.1 * torch.randn(4, 4))
        back, log_det = layer.inverse(layer(x)[0])
        torch.testing.assert_close(back, x)
        torch.testing.assert_close(log_det, -15 * torch.linalg.slogdet(layer.weight)[1].expand(2))
        layer.load_state_dict(Conv1x1(Shape(4, 1)).state_dict())
        torch.testing.assert_close(layer.inverse(layer(x)[0])[0], x)


def plu() -> tuple[Conv1x1, torch.Tensor, torch.Tensor | None]:
    return make_example(Conv1x1, torch.Generator().manual_seed(0), decomposition="plu")


def test_plu():
    check_layer(*plu())


def test_plu_starts_as_a_rotation():
    torch.manual_seed(0)
    weight = Conv1x1(Shape(6, 1), decomposition="plu").double().factors()
    torch.testing.assert_close(weight @ weight.T, torch.eye(6).double(), rtol=0, atol=1e-6)
    assert (weight - torch.eye(6)).abs().max() > 0.1


def test_plu_has_the_matrix_of_its_factors():
    layer, x, _ = plu()
    f = layer.factors
    lower = f.lower.tril(-1) + torch.eye(5)
    weight = f.permutation @ lower @ (f.upper.triu(1) + torch.diag(f.sign * f.log_diagonal.exp()))
    torch.testing.assert_close(layer(x)[0], torch.einsum("ij,bjhw->bihw", weight, x))
    assert set(layer.state_dict()) == {
        f"factors.{name}" for name in ("permutation", "sign", "lower", "upper", "log_diagonal")
    }


def test_plu_keeps_its_inverse_until_a_factor_changes():
    layer, x, _ = plu()
    with torch.no_grad():
        layer.inverse(x)
        kept = layer._cache
        layer.inverse(x)
        assert layer._cache is kept
        layer.factors.upper.add_(0.5)
        assert (layer.inverse(layer(x)[0])[0] - x).abs().max() <= 1e-10
        layer.factors.log_diagonal.add_(0.5)
        assert (layer.inverse(layer(x)[0])[0] - x).abs().max() <= 1e-10


def test_nothing_else_changes_without_a_decomposition():
    assert set(Conv1x1(Shape(4, 1)).state_dict()) == {"weight"}


@pytest.mark.parametrize("decomposition", ["none", "plu"])
def test_the_kept_inverse_follows_changes_that_no_version_counter_sees(decomposition):
    torch.manual_seed(0)
    layer = Conv1x1(Shape(4, 1), decomposition=decomposition)
    x = torch.randn(2, 4, 3, 5)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)

    def error():
        with torch.no_grad():
            return (layer.inverse(layer(x)[0])[0] - x).abs().max()

    assert error() < 1e-4
    for _ in range(3):
        layer(x)[0].square().sum().backward()
        optimizer.step()
        assert error() < 1e-4
    for parameter in layer.parameters():
        parameter.data.copy_(parameter.data + 0.3 * torch.randn_like(parameter))
    assert error() < 1e-3
    layer.double()
    x = x.double()
    assert error() < 1e-10


def test_a_layer_made_in_inference_mode_works():
    with torch.inference_mode():
        layer = Conv1x1(Shape(3, 1))
        x = torch.randn(1, 3, 2, 2)
        torch.testing.assert_close(layer.inverse(layer(x)[0])[0], x)


@pytest.mark.parametrize("differentiable", [False, True])
def test_a_singular_matrix_has_no_inverse(differentiable):
    layer = Conv1x1(Shape(3, 1)).eval()
    with torch.no_grad():
        layer.weight[1] = layer.weight[0]
        layer.weight[2] = 0
    with torch.set_grad_enabled(differentiable), pytest.raises(torch.linalg.LinAlgError):
        layer.inverse(torch.rand(1, 3, 2, 4))
