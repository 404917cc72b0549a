"""Layers as transforms of torch's distributions: the change of variables of torch, and inside zuko."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, TransformedDistribution

from flowkit import Shape, registry
from flowkit.errors import ShapeError
from flowkit.interop.transforms import as_transform
from flowkit.layers import AffineCoupling, Conv1x1, Squeeze

OWN = [name for name in registry.names("layer") if "/" not in name and name != "inverse"]


def standard(*shape: int) -> Independent:
    return Independent(Normal(torch.zeros(shape, dtype=torch.float64), 1.0), len(shape))


@pytest.mark.parametrize("name", OWN)
def test_every_layer_is_a_transform(name):
    layer, x, u = registry.get("layer", name).example(torch.Generator().manual_seed(0))
    transform = as_transform(layer, u)
    z, log_det = layer(x, u)
    torch.testing.assert_close(transform(x), z)
    torch.testing.assert_close(transform.log_abs_det_jacobian(x, z), log_det)
    torch.testing.assert_close(transform.inv(z), x)
    assert transform.forward_shape(x.shape) == z.shape
    assert transform.inverse_shape(z.shape) == x.shape
    base = standard(*z.shape[1:]).expand(z.shape[:1])
    # an inverse only, where data are not all of the plane
    flow = TransformedDistribution(base, [transform.inv], validate_args=False)
    torch.testing.assert_close(flow.log_prob(x), base.log_prob(z) + log_det)


def coupling(perturb, channels: int = 5, context: int = 3) -> AffineCoupling:
    return perturb(AffineCoupling(Shape(channels, 1), Shape(context, 1), hidden=4)).double().eval()


def test_features_are_broadcast_with_samples(perturb):
    layer = coupling(perturb)
    u, y = torch.randn(2, 3, 4, 6, dtype=torch.float64), torch.randn(7, 2, 5, 4, 6, dtype=torch.float64)
    z, log_det = as_transform(layer, u).call_and_ladj(y)
    for number in range(7):
        own, own_log_det = layer(y[number], u)
        torch.testing.assert_close(z[number], own)
        torch.testing.assert_close(log_det[number], own_log_det)


def test_features_that_do_not_fit_are_refused(perturb):
    with pytest.raises(ShapeError, match="AffineCoupling wants features of 3 channels, got none"):
        as_transform(coupling(perturb))
    with pytest.raises(ShapeError, match="Squeeze wants no features, got some"):
        as_transform(Squeeze(Shape(1, 1)), torch.zeros(1, 3, 2, 2))


def test_inside_zuko_of_vectors(perturb):
    """A flow of zuko for vectors with a flowkit coupling between its own transforms."""
    zuko = pytest.importorskip("zuko")

    class Layer(zuko.lazy.LazyTransform):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, c=None):
            return as_transform(self.layer, c if self.layer.context else None, vectors=True)

    torch.manual_seed(0)
    own = [Layer(coupling(perturb)), Layer(perturb(Conv1x1(Shape(5, 1))).double())]
    theirs = zuko.flows.MAF(5, 3, transforms=1, hidden_features=[8]).double()
    flow = zuko.flows.Flow([own[0], *theirs.transform.transforms, own[1]], theirs.base)
    c = torch.randn(4, 3, dtype=torch.float64)
    p = flow(c)
    y, log_prob = p.rsample_and_log_prob((6,))
    assert y.shape == (6, 4, 5)
    torch.testing.assert_close(p.log_prob(y), log_prob)
    one = y[2, 1]
    jacobian = torch.autograd.functional.jacobian(flow(c[1]).transform, one)
    z = flow(c[1]).transform(one)
    wanted = standard(5).log_prob(z) + torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(p.log_prob(y)[2, 1], wanted)
    p.log_prob(y).sum().backward()
    assert all(weight.grad is not None for layer in own for weight in layer.parameters())


def test_inside_zuko_of_images(perturb):
    zuko = pytest.importorskip("zuko")
    u, y = torch.randn(2, 3, 4, 6, dtype=torch.float64), torch.randn(2, 5, 4, 6, dtype=torch.float64)
    layers = [(coupling(perturb), u), (perturb(Conv1x1(Shape(5, 1))).double(), None)]
    chain = zuko.transforms.ComposedTransform(*(as_transform(*layer) for layer in layers))
    p = zuko.distributions.NormalizingFlow(chain, standard(5, 4, 6).expand([2]))
    z, first = layers[0][0](y, u)
    z, second = layers[1][0](z)
    torch.testing.assert_close(p.log_prob(y), standard(5, 4, 6).log_prob(z) + first + second)
    assert p.sample().shape == y.shape
