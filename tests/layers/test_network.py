"""SRFlow's networks inside injectors, couplings and splits."""

from __future__ import annotations

import copy

import pytest
import torch

from flowkit import build
from flowkit.errors import ShapeError
from flowkit.layers import AffineCoupling, AffineInjector, Shape, Split
from flowkit.layers import network as networks
from flowkit.layers.base import make_example
from flowkit.layers.features import PartlyCoarse, convolve
from flowkit.registry import get
from flowkit.testing import check_layer

SRFLOW = {"hidden": 4, "scale": "sigmoid", "eps": 1e-4, "network": "srflow"}


def example(cls, **options):
    return make_example(cls, torch.Generator().manual_seed(0), **options)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (AffineInjector, SRFLOW),
        (AffineCoupling, SRFLOW),
        (AffineCoupling, {**SRFLOW, "mask": "checkerboard", "flip": True}),
        (Split, {"scale": "exp", "gain": True}),
    ],
)
def test_they_are_layers_like_any_other(cls, options):
    check_layer(*example(cls, **options))


def test_the_network_is_its_formula():
    layer, x, u = example(AffineCoupling, **SRFLOW)
    network = layer.network
    kept = x[:, :2]
    weight = torch.cat([network.on_context.weight, network.on_latent.weight], 1)
    h = torch.nn.functional.conv2d(torch.cat([u, kept], 1), weight, padding=1)
    for norm, convolution in zip(network.norms, (network.mix, network.out), strict=True):
        h = convolution(torch.relu((h + norm.bias) * norm.log_scale.exp()))
    expected = h * (3 * network.gain).exp()
    torch.testing.assert_close(network(network.condition(u), kept), expected)


def raw(cls):
    """A layer whose actnorms saw nothing yet, in training mode."""
    layer, x, u = example(cls, **SRFLOW)
    return layer.train(), x, u


def ready(layer):
    return [bool(norm.initialised) for norm in layer.network.norms]


def test_the_first_training_pass_makes_hidden_channels_standard():
    layer, x, u = raw(AffineCoupling)
    seen = []
    for norm in layer.network.norms:
        norm.normalise = lambda h, initialise, own=norm.normalise: (
            seen.append(own(h, initialise=initialise)) or seen[-1]
        )
    layer(x, u)
    for hidden in seen:
        torch.testing.assert_close(hidden.mean((0, 2, 3)), torch.zeros(4).double())
        torch.testing.assert_close(
            hidden.std((0, 2, 3), correction=0), torch.ones(4).double(), rtol=1e-3, atol=0
        )
    kept = [parameter.clone() for parameter in layer.network.norms.parameters()]
    layer(5 + 9 * x, 3 * u)
    for parameter, before in zip(layer.network.norms.parameters(), kept, strict=True):
        assert torch.equal(parameter, before)


def test_an_injector_is_initialised_by_its_condition():
    layer, _, u = raw(AffineInjector)
    layer.eval().condition(u)
    assert ready(layer) == [False, False]
    layer.train().condition(u)
    assert ready(layer) == [True, True]


def test_neither_eval_nor_sampling_initialises_a_coupling():
    layer, x, u = raw(AffineCoupling)
    before = copy.deepcopy(layer.state_dict())
    layer.inverse(x, u)
    layer.eval()(x, u)
    assert ready(layer) == [False, False]
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
    layer.train()(x, u)
    assert ready(layer) == [True, True]


@pytest.mark.parametrize("cls", [AffineInjector, AffineCoupling])
def test_training_compiles_in_one_graph_before_and_after_initialisation(cls):
    layer, x, u = raw(cls)
    twin = copy.deepcopy(layer)
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for scale in (1, 2):
        for found, expected in zip(compiled(scale * x, u), twin(scale * x, u), strict=True):
            torch.testing.assert_close(found, expected)
    assert ready(layer) == [True, True]


def test_statistics_keep_float32_under_autocast():
    layers = [example(AffineInjector, **SRFLOW)[0].float().train() for _ in range(2)]
    u = 100 + torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    layers[0].condition(u)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layers[1].condition(u)
    for norms in zip(*(layer.network.norms for layer in layers), strict=True):
        assert all(norm.bias.dtype == torch.float32 for norm in norms)
    exact, low = (layer.network.norms[0].bias for layer in layers)
    torch.testing.assert_close(low, exact, rtol=2e-2, atol=0)


def test_plain_networks_are_as_they_were():
    layer = AffineCoupling(Shape(4, 2), Shape(3, 2))
    assert sorted(layer.state_dict()) == [
        "network.mix.bias",
        "network.mix.weight",
        "network.on_context.bias",
        "network.on_context.weight",
        "network.on_latent.weight",
        "network.out.bias",
        "network.out.weight",
    ]
    assert sorted(Split(Shape(4, 2)).state_dict()) == ["prior.bias", "prior.weight"]


def test_a_standard_prior_has_no_gain():
    with pytest.raises(ShapeError, match="gain needs prior: kept"):
        Split(Shape(4, 2), prior="standard", gain=True)


@pytest.mark.parametrize("differentiable", [False, True])
def test_convolutions_of_the_same_features_can_be_one(differentiable, monkeypatch, perturb):
    torch.manual_seed(0)
    step = [
        {"type": "affine_injector", "hidden": 5, "kernel": 1},
        {"type": "affine_coupling", "hidden": 7, "network": "srflow"},
        "conv1x1",
        {"type": "affine_coupling", "hidden": 4},
        {"type": "conditional_conv1x1", "hidden": 3},
    ]
    recipe = {
        "version": 1,
        "target": {"type": "continuous"},
        "encoder": {"type": "rrdb", "scale": 4, "features": 6, "growth": 3, "blocks": 2, "stack": [0, 1]},
        "flow": [{"repeat": 2, "steps": ["squeeze", {"repeat": 2, "steps": step}], "between": ["split"]}],
    }
    flow = perturb(build(recipe), amount=0.1).double().eval()
    features = flow.encoder.features(torch.rand(2, 3, 3, 4, dtype=torch.float64))
    assert isinstance(features[2], PartlyCoarse)

    def found():
        contexts = [part for context in flow.condition(features) for part in context or ()]
        if not differentiable:
            return contexts
        weights = [w for w in flow.layers.parameters() if w.dim() == 4 and w.shape[1] == features[4].shape[1]]
        total = sum((i * part).sin().sum() for i, part in enumerate(contexts, start=1))
        return [*contexts, *torch.autograd.grad(total, weights, allow_unused=True)]

    with torch.set_grad_enabled(differentiable):
        apart = found()
        calls = []
        monkeypatch.setattr(networks, "_joins", lambda features: True)
        monkeypatch.setattr(networks, "convolve", lambda *given: calls.append(given) or convolve(*given))
        together = found()
    joined = [convolutions for convolutions, _ in calls if isinstance(convolutions, list)]
    # by stride, kernel and bias: injectors, couplings of either network
    assert sorted(map(len, joined)) == [2, 2, 2, 2, 2, 2]
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", [{"hidden": 6}, SRFLOW])
def test_low_features_make_hidden_values_low_and_nothing_else(options):
    layer, x, u = example(AffineCoupling, **options)
    layer, x, u = layer.float().eval(), x.float(), u.float()
    with torch.no_grad():
        exact, _ = layer.inverse(x, layer.condition(u))
        context = layer.condition(u.bfloat16())
        assert isinstance(context[0], networks.Low)
        low, log_det = layer.inverse(x, context)
        assert low.dtype == log_det.dtype == torch.float32
        assert torch.equal(low[:, :2], x[:, :2])  # what a coupling keeps, it keeps to the last bit
        assert 0 < (low - exact).abs().max() < 0.1 * exact.abs().max()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert isinstance(layer.condition(u)[0], torch.Tensor)  # what latents go through stays exact


@pytest.mark.parametrize("name", ["subtract", "conditional_conv1x1"])
def test_layers_without_a_network_get_features_in_full(name):
    layer = get("layer", name)(Shape(3, 1), Shape(3, 1))
    seen = []
    layer.condition = seen.append
    u = torch.randn(1, 3, 4, 5)
    networks.condition(layer, u.bfloat16())
    networks.condition(layer, u.double())
    assert [features.dtype for features in seen] == [torch.float32, torch.float64]
    torch.testing.assert_close(seen[0], u, rtol=0.01, atol=0)
