from __future__ import annotations

import math

import pytest
import torch

from flowkit.layers import AffineCoupling, AffineInjector, Shape
from flowkit.ops import SCALES, affine, affine_packed, kernels, log_scale


def test_the_formula_of_srflow():
    generator = torch.Generator().manual_seed(0)
    z, shift, raw = (torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64) for _ in range(3))
    scale = torch.sigmoid(raw + 2) + 1e-4
    out, log_det = affine(z, shift, raw, scale="sigmoid", eps=1e-4)
    torch.testing.assert_close(out, (z + shift) * scale)
    torch.testing.assert_close(log_det, scale.log().sum((1, 2, 3)))
    back, inverse = affine(out, shift, raw, scale="sigmoid", eps=1e-4, inverse=True)
    torch.testing.assert_close(back, z)
    torch.testing.assert_close(inverse, -log_det)


def test_values_at_zero():
    zero = torch.zeros(1, dtype=torch.float64)
    assert log_scale(zero, "soft") == log_scale(zero, "exp") == 0
    assert log_scale(zero, "sigmoid").item() == pytest.approx(math.log(1 / (1 + math.exp(-2))))


@pytest.mark.parametrize("scale", [s for s in SCALES if s != "exp"])
@pytest.mark.parametrize("raw", [-1e4, -200.0, 0.0, 200.0, 1e4])
def test_extreme_outputs_give_finite_values_and_gradients(scale, raw):
    z = torch.full((1, 1, 1, 1), 0.5, requires_grad=True)
    r = torch.full((1, 1, 1, 1), raw, requires_grad=True)
    value = log_scale(r, scale, 1e-4)
    (gradient,) = torch.autograd.grad(value.sum(), r)
    assert value.isfinite().all()
    assert gradient.isfinite().all()
    out, log_det = affine(z, torch.zeros_like(z), r, scale=scale, eps=1e-4)
    assert all(g.isfinite().all() for g in torch.autograd.grad(out.sum() + log_det.sum(), (z, r)))


def test_soft_is_bounded_monotone_and_odd():
    raw = torch.linspace(-50, 50, 1001, dtype=torch.float64)
    value = log_scale(raw)
    assert value.abs().max() < 2
    assert (value.diff() > 0).all()
    torch.testing.assert_close(value, -log_scale(-raw))


def test_unknown_scale():
    with pytest.raises(ValueError, match="soft, sigmoid, exp; got 'tanh'"):
        log_scale(torch.zeros(1), "tanh")


@pytest.mark.parametrize("eps", [-1.0, math.inf, math.nan])
def test_an_eps_that_is_no_addition_to_a_scale_is_refused_at_once(eps):
    for layer in (
        lambda: AffineInjector(Shape(2, 1), Shape(3, 1), eps=eps),
        lambda: AffineCoupling(Shape(2, 1), Shape(3, 1), eps=eps),
    ):
        with pytest.raises(ValueError, match="eps must be 0 or more and finite"):
            layer()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("inverse", [False, True])
def test_log_dets_of_low_precision_are_summed_in_single(dtype, inverse):
    """4,096 terms of 1/4: float16 would lose what is below 1/2 beyond 1,024, bfloat16 beyond 128."""
    z = torch.ones(1, 1, 64, 64, dtype=dtype)
    raw = torch.full_like(z, 0.25)
    raw[..., 0] = 1 / 512  # small beside the sum
    with kernels.without():
        _, log_det = affine(z, torch.zeros_like(z), raw, scale="exp", inverse=inverse)
        _, packed = affine_packed(z, torch.cat([torch.zeros_like(z), raw], 1), scale="exp", inverse=inverse)
    assert log_det.dtype == packed.dtype == torch.float32
    expected = raw.double().sum().item() * (-1 if inverse else 1)
    assert log_det.item() == packed.item() == pytest.approx(expected, rel=1e-6)
