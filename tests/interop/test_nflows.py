"""nflows' transforms as layers: what the shared matrix of all layers does not show; and layers in nflows."""

from __future__ import annotations

import warnings

import nflows.flows
import pytest
import torch
from nflows import transforms
from nflows.distributions import StandardNormal

from flowkit import Shape, registry
from flowkit.errors import ShapeError
from flowkit.interop.nflows import NflowsLayer
from flowkit.layers.base import make_example
from flowkit.layers.masks import Partition
from flowkit.testing import check_layer

VARIANTS = [
    ("affine_coupling", {"hidden": 4, "mask": "alternate", "flip": True, "kernel": 1}),
    ("sigmoid", {"temperature": 0.3}),
    ("sigmoid", {"learn_temperature": True}),
    ("squeeze", {"factor": 4, "channels": 1, "size": (4, 8)}),
    ("qr_linear", {"num_householder": 6, "channels": 3}),
    ("lu_linear", {"identity_init": False, "channels": 1}),
    ("piecewise_rational_quadratic_cdf", {"identity_init": True, "tail_bound": 3.0}),
]
UNIT = ["piecewise_linear", "piecewise_quadratic", "piecewise_cubic", "piecewise_rational_quadratic"]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def layer_of(name, channels=3, **options):
    cls = registry.get("layer", f"nflows/{name}")
    shapes = [Shape(channels, 1)] * len(registry.positional(cls))
    return cls(*shapes, **options)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_variants(name, options):
    check_layer(*make_example(registry.get("layer", f"nflows/{name}"), generator(), **options))


@pytest.mark.parametrize("name", [f"{n}_cdf" for n in UNIT] + [f"{n}_coupling" for n in UNIT])
def test_splines_without_tails_are_on_the_unit_interval(name):
    options = {"hidden": 4} if "coupling" in name else {}
    layer, x, u = make_example(
        registry.get("layer", f"nflows/{name}"), generator(), tails=None, num_bins=4, **options
    )
    unit = torch.sigmoid(x)
    z, log_det = layer(unit, u)
    back, inverse_log_det = layer.inverse(z, u)
    assert (back - unit).abs().max() <= 1e-10
    torch.testing.assert_close(inverse_log_det, -log_det)
    assert (z != unit).any()
    with pytest.raises(
        ValueError, match=r"^nflows' \w+\.forward: values from -\d.* to \d.* leave its domain$"
    ):
        layer(x, u)


def test_a_value_outside_the_domain_is_named():
    with pytest.raises(ValueError, match=r"^nflows' Tanh\.inverse: values from 0 to 2 leave its domain$"):
        layer_of("tanh").inverse(torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1, 1))


@pytest.mark.parametrize("name", ["one_by_one_convolution", "lu_linear", "qr_linear"])
def test_no_deprecated_function_is_called(name):
    options = {"num_householder": 2} if name == "qr_linear" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = layer_of(name, **options)
        layer.inverse(torch.ones(1, 3, 2, 2))
    assert (
        layer.eval()(torch.ones(1, 3, 2, 2))[0] - layer.train()(torch.ones(1, 3, 2, 2))[0]
    ).abs().max() == 0


def test_act_norm_is_initialised_by_training_data_only_and_survives_constant_channels():
    layer = layer_of("act_norm").double()
    x = 3 + 2 * torch.randn(4, 3, 5, 7, generator=generator(), dtype=torch.float64)
    x[:, 1] = 7
    torch.testing.assert_close(layer.eval()(x)[0], x)
    layer.train().inverse(x)
    assert not layer.host.initialized
    z, log_det = layer(x)
    assert z.isfinite().all()
    assert log_det.isfinite().all()
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(z.std((0, 2, 3), correction=0), torch.tensor([1.0, 0, 1]).double())
    torch.testing.assert_close(layer(2 * x)[0], layer.eval()(2 * x)[0])


def test_bad_options_are_refused():
    with pytest.raises(ShapeError, match="even factors only, got 3"):
        layer_of("squeeze", factor=3)
    with pytest.raises(ShapeError, match="must be even, got 3"):
        layer_of("svd_linear", num_householder=3)
    for number in (0, 7):
        with pytest.raises(ShapeError, match=f"3 channels take 1 to . Householder reflections, got {number}"):
            layer_of("householder_sequence", num_transforms=number)
    with pytest.raises(ShapeError, match="2 channels or more, got 1"):
        layer_of("affine_coupling", channels=1)
    with pytest.raises(ShapeError, match=r"0 to 2 once each, got \[0, 1, 1\]"):
        layer_of("permutation", permutation=(0, 1, 1))
    for number in (5, 6):
        layer = layer_of("householder_sequence", num_transforms=number)
        assert layer(torch.ones(1, 3, 1, 1))[0].isfinite().all()


def test_an_untrained_spline_coupling_can_be_inverted():
    for name in UNIT:
        torch.manual_seed(0)
        layer, features = layer_of(f"{name}_coupling"), torch.zeros(2, 3, 4, 4)
        x = torch.rand(2, 3, 4, 4) * 2 - 1
        z, _ = layer(x, features)
        assert (layer.inverse(z, features)[0] - x).abs().max() < 2e-3


@pytest.mark.parametrize("mask", ["half", "alternate"])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("channels", [4, 5])
def test_masks_are_those_of_our_couplings(mask, flip, channels):
    layer = layer_of("affine_coupling", channels, mask=mask, flip=flip)
    kept, moved, _ = Partition(channels, mask, flip).split(torch.arange(channels).view(1, -1, 1, 1))
    assert layer.host.identity_features.tolist() == kept.flatten().tolist()
    assert layer.host.transform_features.tolist() == moved.flatten().tolist()


# Layers of flowkit inside nflows' hosts.

KEEP_SHAPE = [
    name
    for name in registry.names("layer")
    if not issubclass(registry.get("layer", name), NflowsLayer) and "normflows" not in name
]


@pytest.mark.parametrize("name", KEEP_SHAPE)
def test_our_layers_are_nflows_transforms(name):
    layer, x, u = registry.get("layer", name).example(generator())
    assert isinstance(layer, transforms.Transform)
    turned = transforms.CompositeTransform([layer, transforms.InverseTransform(layer)])
    back, log_det = turned(x, u)
    assert (back - x).abs().max() <= 1e-10
    assert log_det.abs().max() <= 1e-10
    assert log_det.shape == (2,)


def test_a_conditional_nflows_flow_of_our_layers():
    coupling, x, u = registry.get("layer", "affine_coupling").example(generator())
    injector, _, _ = registry.get("layer", "affine_injector").example(generator())
    conv, _, _ = registry.get("layer", "conv1x1").example(generator())
    layers = [conv, injector, transforms.RandomPermutation(5), coupling]
    flow = nflows.flows.Flow(transforms.CompositeTransform(layers), StandardNormal(x.shape[1:])).double()

    z, expected = x, torch.zeros(2, dtype=torch.float64)
    for layer in layers:
        z, log_det = layer(z, u)
        expected = expected + log_det
    gauss = torch.distributions.Normal(0, 1).log_prob(z).flatten(1).sum(1)
    torch.testing.assert_close(flow.log_prob(x, context=u), expected + gauss)
    assert not torch.allclose(flow.log_prob(x, context=u + 1), expected + gauss)

    with torch.no_grad():
        samples = flow.float().sample(3, context=u.float())
    assert samples.shape == (2, 3, *x.shape[1:])
    assert samples.isfinite().all()
