from __future__ import annotations

import itertools
import math

import pytest
import torch

from flowkit.errors import ShapeError
from flowkit.targets import Binary, Continuous


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_the_sign_of_v_is_the_pixel(noise):
    target = Binary(noise=noise)
    y = (torch.rand(2, 1, 200, 300, generator=generator()) < 0.3).double()
    v, _ = target.dequantise(y, generator())
    assert torch.equal(target.restore(v), y)
    assert torch.equal(target.restore(target.embed(y)), y)
    assert (v != 0).all()


@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_log_q_is_the_density_of_the_noise(noise):
    """1 / q averages, over draws from q, to the length of the support: here, of a part of it."""
    target = Binary(noise=noise)
    y = torch.ones(400_000, 1, 1, 1, dtype=torch.float64)
    v, log_q = target.dequantise(y, generator())
    v = v.flatten()
    window = (v > 0.25) & (v < 0.95)
    assert (torch.exp(-log_q) * window).mean().item() == pytest.approx(0.7, rel=0.01)


# p is narrower than normal noise, and wider than uniform noise reaches: |v| > 1 is lost there.
@pytest.mark.parametrize(("noise", "sigma", "reach"), [("normal", 0.3, math.inf), ("uniform", 1.0, 1.0)])
def test_probabilities_of_all_binary_images_sum_to_one(noise, sigma, reach):
    """E_q[p(v) / q(v | y)] is P(y) exactly, whatever the density p: summed over all y it is 1."""
    target = Binary(noise=noise)
    p = torch.distributions.Normal(torch.tensor([0.9, -0.8, 0.5]).double(), sigma)
    total = 0.0
    for bits in itertools.product((0.0, 1.0), repeat=3):
        y = torch.tensor(bits, dtype=torch.float64).expand(100_000, 1, 1, 3)
        v, log_q = target.dequantise(y, generator())
        total += (p.log_prob(v).flatten(1).sum(1) - log_q).exp().mean().item()
    reached = p.cdf(torch.tensor(reach)) - p.cdf(torch.tensor(-reach))
    assert total == pytest.approx(reached.prod().item(), rel=0.02)


def test_eight_bit_levels_survive_and_cost_log_256_each():
    target = Continuous(noise="uniform")
    y = torch.arange(256, dtype=torch.float64).view(1, 1, 16, 16).expand(2, 3, 16, 16) / 255
    v, log_q = target.dequantise(y, generator())
    assert v.min() >= 0
    assert v.max() < 1
    torch.testing.assert_close(target.restore(v), y)
    torch.testing.assert_close(target.restore(target.embed(y)), y)
    torch.testing.assert_close(log_q, torch.full((2,), 768 * math.log(256), dtype=torch.float64))


def test_gaussian_noise_has_srflows_width_and_no_noise_is_none():
    y = torch.rand(2, 3, 100, 100, generator=generator(), dtype=torch.float64)
    v, log_q = Continuous(noise="gaussian").dequantise(y, generator())
    assert (v - y).std().item() == pytest.approx(4 / math.sqrt(3) / 255, rel=0.02)
    assert log_q.abs().max() == 0
    assert torch.equal(Continuous(noise="none").dequantise(y)[0], y)


def test_no_channels_are_refused():
    with pytest.raises(ShapeError, match="channels must be positive, got 0"):
        Binary(channels=0)


@pytest.mark.parametrize("noise", ["normal", "uniform"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_the_noise_are_finite_and_on_their_side(noise, dtype):
    """u of 0 is drawn once in 2^24 times in float32, and the largest u is 1 but for rounding."""
    target = Binary(noise=noise)
    ends = torch.tensor(
        [0.0, 1e-12, 1 - torch.finfo(dtype).eps, 1.0 if noise == "normal" else 0.5], dtype=dtype
    )
    u = ends.view(1, 1, 1, 4).expand(2, 1, 1, 4)
    y = torch.tensor([0.0, 1.0], dtype=dtype).view(2, 1, 1, 1).expand(2, 1, 1, 4)
    v, log_q = target.dequantise(y, u)
    assert v.isfinite().all()
    assert log_q.isfinite().all()
    assert torch.equal(target.restore(v), y)
    assert (v.abs() > 0).all()
