"""normflows' flows as layers: what the shared matrix of all layers does not show; and layers in normflows."""

from __future__ import annotations

import warnings

import normflows
import pytest
import torch

from flowkit import Shape, registry
from flowkit.errors import ShapeError
from flowkit.interop.normflows import as_normflows
from flowkit.layers.base import make_example
from flowkit.testing import check_layer

VARIANTS = [
    ("affine_coupling_block", {"scale_map": "sigmoid", "split_mode": "channel_inv"}),
    ("affine_coupling_block", {"scale_map": "sigmoid_inv", "split_mode": "checkerboard"}),
    ("affine_coupling_block", {"scale": False, "split_mode": "checkerboard_inv", "channels": 1}),
    ("glow_block", {"use_lu": False, "split_mode": "checkerboard", "leaky": 0.1}),
    ("masked_affine", {"flip": True}),
    ("invertible1x1_conv", {"use_lu": True}),
    ("invertible_affine", {"use_lu": False, "channels": 1}),
    ("permute", {"mode": "swap"}),
    ("affine_const", {"scale": False}),
    ("coupled_rational_quadratic_spline", {"reverse_mask": True, "channels": 2, "size": (1, 3)}),
    ("autoregressive_rational_quadratic_spline", {"permute_mask": True, "channels": 3, "size": (1, 3)}),
]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def layer_of(name, channels=3, **options):
    cls = registry.get("layer", f"normflows/{name}")
    return cls(*[Shape(channels, 1)] * len(registry.positional(cls)), **options)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_variants(name, options):
    cls = registry.get("layer", f"normflows/{name}")
    check_layer(*make_example(cls, generator(), **{**cls.example_options, **options}))


@pytest.mark.parametrize("name", ["act_norm", "glow_block"])
def test_act_norm_is_initialised_by_training_data_only(name):
    torch.manual_seed(0)
    layer = layer_of(name, 4).double()
    host = layer.host if name == "act_norm" else layer.host.flows[-1]
    x = 3 + 2 * torch.randn(4, 4, 6, 6, generator=generator(), dtype=torch.float64)
    x[:, 1] = 7
    layer.eval()(x)
    layer.train().inverse(x)
    assert not host.data_dep_init_done
    layer(x)
    assert host.data_dep_init_done
    z, _ = host.inverse(x)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(4).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(z.std((0, 2, 3), correction=0), torch.tensor([1.0, 0, 1, 1]).double())
    before = host.inverse(2 * x)[0]
    layer(2 * x)
    torch.testing.assert_close(host.inverse(2 * x)[0], before)
    other = layer_of(name, 4).double().train()
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other(2 * x), layer(2 * x))


def test_no_deprecated_function_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("invertible1x1_conv", "invertible_affine", "glow_block"):
            layer_of(name, use_lu=True).inverse(torch.ones(1, 3, 2, 2))


def test_bad_shapes_are_refused():
    for name in ("affine_coupling_block", "masked_affine", "coupled_rational_quadratic_spline"):
        with pytest.raises(ShapeError, match="got 1"):
            layer_of(name, 1)
    layer = layer_of("affine_coupling_block", split_mode="checkerboard")
    with pytest.raises(ShapeError, match=r"even width, got \(1, 3, 4, 5\)"):
        layer(torch.ones(1, 3, 4, 5))


def test_a_checkerboard_reaches_as_far_as_it_says():
    torch.manual_seed(0)
    layer = layer_of("affine_coupling_block", 1, split_mode="checkerboard", hidden_channels=8).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    x = torch.randn(1, 1, 24, 24, dtype=torch.float64)
    far = 0
    for column in (12, 13):  # one of the two decides, the other one moves
        moved = x.clone()
        moved[0, 0, 12, column] += 1
        rows, columns = ((layer(moved)[0] - layer(x)[0]).abs() > 0)[0, 0].nonzero().T
        far = max(far, *(rows - 12).abs().tolist(), *(columns - column).abs().tolist())
    assert far == layer.reach


# Layers of flowkit inside normflows' hosts.

OURS = [name for name in registry.names("layer") if "/" not in name]


@pytest.mark.parametrize("name", OURS)
def test_our_layers_are_normflows_flows(name):
    layer, x, u = registry.get("layer", name).example(generator())
    flow = as_normflows(layer)
    assert isinstance(flow, normflows.flows.Flow)
    z, log_det = flow.inverse(x, context=u)
    expected, expected_log_det = layer(x, u)
    torch.testing.assert_close(torch.cat(z, dim=1) if isinstance(z, list) else z, expected)
    torch.testing.assert_close(log_det, expected_log_det)
    back, back_log_det = flow(z, context=u)
    assert (back - x).abs().max() <= 1e-10
    torch.testing.assert_close(back_log_det, -log_det)


class Gauss(normflows.distributions.BaseDistribution):
    """A standard normal that takes, and ignores, the context that ConditionalNormalizingFlow passes on."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, num_samples=1, context=None):
        z = torch.randn(num_samples, *self.shape, generator=generator())
        return z, self.log_prob(z)

    def log_prob(self, z, context=None):
        return torch.distributions.Normal(0, 1).log_prob(z).flatten(1).sum(1)


@pytest.mark.parametrize("host", ["ConditionalNormalizingFlow", "NormalizingFlow"])
def test_flows_of_our_layers(host):
    coupling, x, u = registry.get("layer", "affine_coupling").example(generator())
    conv, _, _ = registry.get("layer", "conv1x1").example(generator())
    conditional = host == "ConditionalNormalizingFlow"
    layers = [conv.float(), *([coupling.float()] if conditional else [])]
    x, given = x.float(), {"context": u.float()} if conditional else {}
    model = getattr(normflows, host)(Gauss(x.shape[1:]), [as_normflows(layer) for layer in reversed(layers)])

    z, log_det = x, torch.zeros(2)
    for layer in layers:
        z, change = layer(z, given.get("context"))
        log_det = log_det + change
    expected = log_det + Gauss(()).log_prob(z)
    torch.testing.assert_close(model.log_prob(x, **given), expected)
    torch.testing.assert_close(model.forward_kld(x, **given), -expected.mean())
    samples, log_q = model.sample(2, **given)
    assert samples.shape == x.shape
    torch.testing.assert_close(model.log_prob(samples, **given), log_q, rtol=1e-4, atol=1e-4)


def test_a_host_that_passes_no_context_is_told():
    coupling, x, _ = registry.get("layer", "affine_coupling").example(generator())
    model = normflows.NormalizingFlow(Gauss(x.shape[1:]), [as_normflows(coupling)])
    with pytest.raises(ShapeError, match="AffineCoupling needs image features of 3 channels"):
        model.log_prob(x)


def test_multiscale_flow_with_our_split_as_its_merge():
    torch.manual_seed(0)
    squeeze = registry.get("layer", "squeeze")(Shape(1, 1))
    split = make_example(registry.get("layer", "split"), generator(), channels=4)[0].float()
    actnorm = make_example(registry.get("layer", "actnorm"), generator(), channels=2)[0].float()
    kept = split.out_shape.channels
    model = normflows.MultiscaleFlow(
        [Gauss((kept, 3, 2)), Gauss((4 - kept, 3, 2))],
        [[as_normflows(actnorm)], [as_normflows(squeeze)]],
        [as_normflows(split)],
        class_cond=False,
    )
    x = torch.randn(2, 1, 6, 4, generator=generator())
    z, d1 = squeeze(x)
    z, d2 = split(z)
    deep, d3 = actnorm(z[:, :kept])
    expected = d1 + d2 + d3 + Gauss(()).log_prob(deep) + Gauss(()).log_prob(z[:, kept:])
    torch.testing.assert_close(model.log_prob(x, None), expected)
    samples, log_q = model.sample(2)
    assert samples.shape == x.shape
    torch.testing.assert_close(model.log_prob(samples, None), log_q, rtol=1e-4, atol=1e-4)
