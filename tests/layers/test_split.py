from __future__ import annotations

import math

import pytest
import torch

from flowkit.errors import ShapeError
from flowkit.layers import ConditionalSplit, Shape, Split
from flowkit.layers.base import make_example
from flowkit.testing import check_layer


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("split", "options"),
    [
        (Split, {"prior": "standard"}),
        (Split, {"keep": 1}),
        (ConditionalSplit, {"prior": "features", "hidden": 4}),
        (ConditionalSplit, {"prior": "both", "hidden": 4, "keep": 3}),
        (ConditionalSplit, {"prior": "both", "hidden": 4, "kernel": 1, "channels": 2}),
    ],
)
def test_every_prior(split, options):
    check_layer(*make_example(split, generator(), **options))


def test_standard_lets_the_second_half_out_as_it_is():
    layer, x, _ = make_example(Split, generator(), prior="standard")
    z, log_det = layer(x)
    assert torch.equal(z, x)
    assert torch.equal(layer.inverse(z)[0], x)
    assert not log_det.any()
    assert (layer.out_shape, layer.latent_channels, layer.reach) == (Shape(2, 2), 3, 0)
    assert not layer.state_dict()


def test_kept_is_as_it_was():
    layer, _, _ = Split.example(generator())
    assert set(layer.state_dict()) == {"prior.weight", "prior.bias"}
    assert layer.reach == 1


@pytest.mark.parametrize("prior", ["features", "both"])
def test_it_is_a_gaussian_prior_written_as_a_bijection(prior):
    """log N(e; 0, 1) + log|det| is the density of x2 under N(-shift, 1/s)."""
    layer, x, u = make_example(ConditionalSplit, generator(), hidden=4, prior=prior)
    z, log_det = layer(x, u)
    latent = () if prior == "features" else (x[:, :2],)
    shift, raw = layer.network(layer.network.condition(u), *latent).chunk(2, dim=1)
    log_s = raw / (1 + raw.abs() / 2)
    normal = torch.distributions.Normal(-shift, torch.exp(-log_s))
    density = -0.5 * (z[:, 2:].square() + math.log(2 * math.pi))
    torch.testing.assert_close(density.sum((1, 2, 3)) + log_det, normal.log_prob(x[:, 2:]).sum((1, 2, 3)))


def test_what_the_prior_reads():
    for prior, reads_kept in (("features", False), ("both", True)):
        layer, x, u = make_example(ConditionalSplit, generator(), hidden=4, prior=prior)
        other = x.clone()
        other[:, :2] += 1
        assert torch.equal(layer(other, u)[0][:, 2:], layer(x, u)[0][:, 2:]) is not reads_kept
        assert not torch.equal(layer(x, u + 1)[0][:, 2:], layer(x, u)[0][:, 2:])
        assert torch.equal(layer(x, u)[0][:, :2], x[:, :2])


@pytest.mark.parametrize("raw", [-1e4, 1e4])
@pytest.mark.parametrize("prior", ["features", "both"])
def test_wild_networks_give_finite_values_and_gradients(raw, prior):
    layer, x, u = make_example(ConditionalSplit, generator(), hidden=4, prior=prior)
    layer, x, u = layer.float(), x.float().requires_grad_(), u.float()
    with torch.no_grad():
        layer.network.out.bias.fill_(raw)
    for direction in (layer.forward, layer.inverse):
        y, log_det = direction(x, u)
        gradients = torch.autograd.grad(y.sum() + log_det.sum(), [x, *layer.parameters()])
        assert all(value.isfinite().all() for value in (y, log_det, *gradients))


@pytest.mark.parametrize("make", [Split, lambda shape: ConditionalSplit(shape, Shape(3, 1))])
def test_one_channel_cannot_be_split(make):
    with pytest.raises(ShapeError, match="a split needs 2 channels or more, got 1"):
        make(Shape(1, 1))


@pytest.mark.parametrize("prior", ["features", "both"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_the_kernel_is_that_of_the_first_and_the_last_convolution(prior, kernel):
    layer, _, _ = make_example(ConditionalSplit, generator(), hidden=4, prior=prior, kernel=kernel)
    network = layer.network
    first = [network.on_context] + ([network.on_latent] if prior == "both" else [])
    assert {convolution.kernel_size for convolution in (*first, network.out)} == {(kernel, kernel)}
    assert layer.reach == (0 if kernel == 1 else 2)


@pytest.mark.parametrize("keep", [1, 4])
def test_any_number_of_channels_may_go_on(keep):
    for split, options in ((Split, {}), (ConditionalSplit, {"hidden": 4})):
        layer, x, u = make_example(split, generator(), keep=keep, **options)
        z, _ = layer(x, u)
        assert (layer.out_shape, layer.latent_channels) == (Shape(keep, 2), 5 - keep)
        assert torch.equal(z[:, :keep], x[:, :keep])
        assert not torch.isclose(z[:, keep:], x[:, keep:]).any()


@pytest.mark.parametrize("keep", [0, 5])
def test_something_must_go_on_and_something_must_leave(keep):
    with pytest.raises(ShapeError, match=f"keep must be 1 to 4 of 5 channels, got {keep}"):
        Split(Shape(5, 2), keep=keep)
