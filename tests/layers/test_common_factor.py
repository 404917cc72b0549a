"""The common factor: a Gaussian of rank one above the identity, as a bijection."""

from __future__ import annotations

import math

import torch

from flowkit.layers import CommonFactor, Shape
from flowkit.layers.base import make_example
from flowkit.layers.common_factor import Sums
from flowkit.testing import check_layer


def example(channels: int = 2) -> tuple[CommonFactor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    layer, x, u = make_example(CommonFactor, generator, channels=channels, hidden=4)
    assert isinstance(layer, CommonFactor) and u is not None
    return layer, x, u


def normal(loadings: torch.Tensor) -> torch.distributions.MultivariateNormal:
    w = loadings.flatten(1)
    covariance = torch.eye(w.shape[1], dtype=w.dtype) + w[:, :, None] * w[:, None]
    return torch.distributions.MultivariateNormal(torch.zeros_like(w), covariance)


def test_it_is_a_flow_layer():
    for channels in (1, 3):
        check_layer(*example(channels))


def test_its_density_is_that_of_independent_values_and_one_that_all_share():
    layer, x, u = example()
    (loadings,) = layer.condition(u)
    z, log_det = layer(x, u)
    found = -0.5 * (z.square() + math.log(2 * math.pi)).sum((1, 2, 3)) + log_det
    torch.testing.assert_close(found, normal(loadings).log_prob(x.flatten(1)))


def test_samples_have_its_covariance():
    layer, x, u = example()
    (loadings,) = layer.condition(u[:1])
    columns = torch.eye(x[0].numel(), dtype=x.dtype).view(-1, *x.shape[1:])
    root = layer.inverse(columns, (loadings,))[0].flatten(1)  # by linearity, of all unit vectors
    torch.testing.assert_close(root.T @ root, normal(loadings).covariance_matrix[0])


def test_parts_of_an_image_have_the_density_of_the_whole():
    layer, x, u = example()
    (loadings,) = layer.condition(u[:1])
    whole = normal(loadings).log_prob(x[:1].flatten(1))
    alone = -0.5 * (x[:1].square() + math.log(2 * math.pi)).sum()
    parts = [layer.sums(x[:1, :, rows], (loadings[:, :, rows],)) for rows in (slice(0, 2), slice(1, 3))]
    overlap = layer.sums(x[:1, :, 1:2], (loadings[:, :, 1:2],))
    sums = Sums().plus(parts[0]).plus(parts[1]).plus(overlap, -1)
    torch.testing.assert_close(alone.item() + sums.log_ratio(), whole.item())


def test_an_untrained_layer_can_learn():
    layer = CommonFactor(Shape(1, 2), Shape(3, 2), hidden=4).double()
    x, u = torch.ones(1, 1, 4, 5, dtype=torch.float64), torch.randn(1, 3, 4, 5, dtype=torch.float64)
    z, log_det = layer(x, u)
    (0.5 * z.square().sum() - log_det.sum()).backward()
    assert layer.network.out.bias.grad.abs().sum() > 1e-3
