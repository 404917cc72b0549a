"""The rational-quadratic spline against nflows' one, and at the places where splines break."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from nflows.transforms.splines import unconstrained_rational_quadratic_spline

from flowkit.errors import ShapeError
from flowkit.layers import Shape, SplineCoupling
from flowkit.layers.base import make_example
from flowkit.layers.rational_quadratic import _knots, count, spline
from flowkit.ops import log_scale
from flowkit.testing import check_layer

BINS, BOUND = 5, 2.0


def draw(magnitude: float, *, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Values inside, outside and on the bounds, and raw parameters for each."""
    generator = torch.Generator().manual_seed(0)
    x = 1.5 * torch.randn(4, 3, 5, 5, generator=generator, dtype=dtype)
    x[0, 0, 0] = torch.tensor([-BOUND, BOUND, 0, 1e4, -1e4])
    raw = magnitude * torch.randn(4, count(BINS), 3, 5, 5, generator=generator, dtype=dtype)
    return x, raw


@pytest.mark.parametrize("magnitude", [0.3, 3, 1e4])
@pytest.mark.parametrize("inverse", [False, True])
def test_nflows_has_the_same_spline(magnitude, inverse):
    x, raw = draw(magnitude)
    sizes = [F.softmax(F.softsign(raw[:, i * BINS : (i + 1) * BINS]), dim=1) for i in (0, 1)]
    least = 1e-3
    widths, heights = (torch.log((size - least) / (1 - least * BINS)).movedim(1, -1) for size in sizes)
    slopes = torch.log(torch.expm1(torch.exp(log_scale(raw[:, 2 * BINS :])) - least)).movedim(1, -1)
    expected = unconstrained_rational_quadratic_spline(
        x, widths, heights, slopes, inverse=inverse, tail_bound=BOUND
    )
    found = spline(x, raw, bound=BOUND, inverse=inverse)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-8, atol=1e-8)


def test_raw_parameters_of_zero_are_the_identity():
    x, raw = draw(0)
    for inverse in (False, True):
        y, log_slope = spline(x, raw, bound=BOUND, inverse=inverse)
        torch.testing.assert_close(y, x, rtol=0, atol=1e-14)
        assert log_slope.abs().max() <= 1e-14


def test_outside_nothing_changes():
    x, raw = draw(3)
    y, log_slope = spline(x, raw, bound=BOUND)
    outside = x.abs() >= BOUND
    assert outside.sum() > 9
    assert torch.equal(y[outside], x[outside])
    assert not log_slope[outside].any()


@pytest.mark.parametrize("inverse", [False, True])
def test_values_from_far_outside_spoil_no_gradient(inverse):
    """What the spline's formula gives there is not used, but NaN in it would reach the gradients."""
    x, raw = draw(3)
    x, raw = (1e200 * x).requires_grad_(), raw.requires_grad_()
    y, log_slope = spline(x, raw, bound=BOUND, inverse=inverse)
    for gradient in torch.autograd.grad(y.sum() + log_slope.sum(), [x, raw]):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("magnitude", [1, 1e4])
def test_knots_and_bounds(magnitude, dtype):
    """Exactly there, values and gradients are finite, both ways round, and the way back leads back."""
    x, raw = draw(magnitude, dtype=dtype)
    knots = _knots(raw, BOUND)
    x[1:3] = knots.x[1:3, 2]
    x[3] = knots.x[3, -2]
    values, raw = x.requires_grad_(), raw.requires_grad_()
    y, log_slope = spline(values, raw, bound=BOUND)
    back, log_slope_back = spline(y.detach().requires_grad_(), raw, bound=BOUND, inverse=True)
    torch.testing.assert_close(y[1:3], knots.y[1:3, 2])
    tolerance = 1e-10 if dtype == torch.float64 else 1e-4
    assert (back - values).abs().max() <= tolerance
    assert (log_slope + log_slope_back).abs().max() <= 10 * tolerance
    on_knots, raw_again = y.detach().requires_grad_(), raw.detach().requires_grad_()
    back, log_slope_back = spline(on_knots, raw_again, bound=BOUND, inverse=True)
    gradients = [
        *torch.autograd.grad(y.sum() + log_slope.sum(), [values, raw]),
        *torch.autograd.grad(back.sum() + log_slope_back.sum(), [on_knots, raw_again]),
    ]
    assert all(g.isfinite().all() for g in gradients)
    assert (gradients[0] != 0).all()


def test_map_and_derivative_are_continuous_at_the_bounds():
    _, raw = draw(3)
    x = torch.full((4, 3, 5, 5), BOUND, dtype=torch.float64) - 1e-9
    for sign in (-1, 1):
        y, log_slope = spline(sign * x, raw, bound=BOUND)
        torch.testing.assert_close(y, sign * x, rtol=0, atol=1e-8)
        assert log_slope.abs().max() <= 1e-6


@pytest.mark.parametrize("options", [{"bins": 2, "bound": 0.5}, {"bins": 20, "bound": 10.0}])
def test_other_bins_and_bounds(options):
    check_layer(*make_example(SplineCoupling, torch.Generator().manual_seed(0), hidden=4, **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 1}, "bins must be 2 or more, got 1"),
        ({"bound": 0.0}, "bound must be positive and finite, got 0.0"),
        ({"bound": float("inf")}, "bound must be positive and finite, got inf"),
    ],
)
def test_options_that_make_no_spline(options, message):
    with pytest.raises(ShapeError, match=message):
        SplineCoupling(Shape(2, 1), Shape(3, 1), **options)
