"""What every registered layer owes: the registry is the matrix."""

from __future__ import annotations

import copy

import pytest
import torch

from flowkit import FlowLayer, registry
from flowkit.errors import ShapeError
from flowkit.layers import Shape

CONTEXT = 3
LAYERS = registry.names("layer")
OPTIONS = {
    "affine_injector": [{"hidden": 4}, {"hidden": 4, "kernel": 1, "scale": "sigmoid", "eps": 1e-4}],
    "affine_coupling": [
        {"hidden": 4},
        {"hidden": 4, "kernel": 1, "context_kernel": 3, "scale": "sigmoid", "eps": 1e-4},
        {"hidden": 4, "scale": "exp"},
    ],
    "split": [{}, {"scale": "exp"}],
    "squeeze": [{}, {"factor": 3}],
}
CASES = [(name, options, c) for name in LAYERS for options in OPTIONS.get(name, [{}]) for c in (5, 2)]
CONDITIONAL = [case for case in CASES if "context" in registry.positional(registry.get("layer", case[0]))]


def make(name: str, options: dict, channels: int, perturb) -> FlowLayer:
    cls = registry.get("layer", name)
    shapes = [Shape(channels, 2)]
    if "context" in registry.positional(cls):
        shapes.append(Shape(CONTEXT, 2))
    torch.manual_seed(3)
    return perturb(cls(*shapes, **options)).double().eval()


def draw(layer: FlowLayer, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(1)

    def random(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    side = (6, 12) if layer.out_shape.stride != layer.shape.stride else (3, 4)
    features = None if layer.context is None else random(batch, CONTEXT, *side)
    return random(batch, layer.shape.channels, *side), features


def jacobian_log_det(function, inputs: torch.Tensor, features: torch.Tensor | None) -> torch.Tensor:
    """log|det| per sample, from autograd's Jacobian."""
    values = []
    for i in range(len(inputs)):
        own = None if features is None else features[i : i + 1]
        x = inputs[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(lambda v, own=own: function(v, own)[0], x)
        values.append(torch.linalg.slogdet(jacobian.reshape(x.numel(), x.numel()))[1])
    return torch.stack(values)


@pytest.mark.parametrize(("name", "options", "channels"), CASES)
def test_round_trip_and_log_det_both_ways(name, options, channels, perturb):
    layer = make(name, options, channels, perturb)
    x, u = draw(layer)
    z, forward = layer(x, u)
    back, inverse = layer.inverse(z, u)
    assert (back - x).abs().max() <= 1e-10
    assert forward.shape == inverse.shape == (2,)
    assert z.shape[1] == layer.out_shape.channels + layer.latent_channels
    assert (forward - jacobian_log_det(layer, x, u)).abs().max() <= 1e-8
    assert (inverse - jacobian_log_det(layer.inverse, z, u)).abs().max() <= 1e-8


@pytest.mark.parametrize(("name", "options", "channels"), CASES)
def test_samples_of_a_batch_are_independent(name, options, channels, perturb):
    layer = make(name, options, channels, perturb)
    x, u = draw(layer, batch=3)
    z, log_det = layer(x, u)
    alone, log_det_alone = layer(x[1:2], None if u is None else u[1:2])
    torch.testing.assert_close(z[1:2], alone)
    torch.testing.assert_close(log_det[1:2], log_det_alone)


@pytest.mark.parametrize(("name", "options", "channels"), CONDITIONAL)
def test_conditioned_once_or_raw_features(name, options, channels, perturb):
    layer = make(name, options, channels, perturb)
    x, u = draw(layer)
    torch.testing.assert_close(layer(x, layer.condition(u)), layer(x, u))
    other = layer(x, u + 1)[0]
    assert not torch.allclose(other, layer(x, u)[0])
    with pytest.raises(ShapeError, match=r"needs image features of 3 channels"):
        layer(x)
    with pytest.raises(ShapeError, match=r"expected features \(B, 3, H, W\), got \(2, 2, "):
        layer(x, u[:, :2])


@pytest.mark.parametrize(("name", "options", "channels"), CASES)
def test_gradients_reach_inputs_features_and_all_parameters(name, options, channels, perturb):
    layer = make(name, options, channels, perturb)
    x, u = draw(layer)
    x.requires_grad_()
    if u is not None:
        u.requires_grad_()
    for direction in (layer.forward, layer.inverse):
        inputs = x if direction == layer.forward else layer(x, u)[0].detach().requires_grad_()
        out, log_det = direction(inputs, u)
        wanted = [inputs, *([] if u is None else [u]), *layer.parameters()]
        gradients = torch.autograd.grad((out**3).sum() + log_det.sum(), wanted)
        assert all(g.abs().sum() > 0 for g in gradients)


@pytest.mark.parametrize(("name", "options", "channels"), CASES)
def test_state_survives_copies_and_state_dict(name, options, channels, perturb):
    layer = make(name, options, channels, perturb)
    x, u = draw(layer)
    other = make(name, options, channels, lambda module: perturb(module, seed=5))
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other(x, u), layer(x, u))
    torch.testing.assert_close(
        copy.deepcopy(layer).inverse(*layer(x, u)[:1], u), layer.inverse(layer(x, u)[0], u)
    )


@pytest.mark.parametrize(("name", "options", "channels"), CASES)
def test_a_wrong_number_of_channels_is_refused(name, options, channels, perturb):
    layer = make(name, options, channels, perturb)
    x, u = draw(layer)
    with pytest.raises(ShapeError, match=rf"forward: expected \(B, {channels}, H, W\), got"):
        layer(x[:, 1:], u)
    with pytest.raises(ShapeError, match=r"inverse: expected"):
        layer.inverse(layer(x, u)[0][:, 1:], u)


@pytest.mark.parametrize("name", ["affine_injector", "affine_coupling", "split", "actnorm", "conv1x1"])
def test_bijections_keep_float32_under_autocast(name, perturb):
    layer = make(name, {}, 4, perturb).float()
    x, u = draw(layer)
    x, u = x.float(), None if u is None else u.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z, log_det = layer(x, u)
        back, _ = layer.inverse(z, u)
    assert z.dtype == log_det.dtype == torch.float32
    assert (back - x).abs().max() <= 1e-5
