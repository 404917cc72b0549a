"""Refusals at a flow's public methods: one error each, of what was found and what is expected."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from flowkit import ConditionalFlow, build, unchecked
from flowkit.errors import FlowkitError, ShapeError, TensorError
from flowkit.flow.checks import looks_at

NAN, INF = math.nan, math.inf


def flow(perturb, kind: str = "binary", noise: str = "normal") -> ConditionalFlow:
    torch.manual_seed(0)
    recipe = {
        "version": 1,
        "target": {"type": kind, "channels": 1, "noise": noise},
        "encoder": {"type": "unet", "in_channels": 3, "widths": [4, 5]},
        "flow": ["squeeze", "actnorm", "conv1x1", "affine_coupling", "split"],
    }
    return perturb(build(recipe), amount=0.1).eval()


def image() -> torch.Tensor:
    return torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))


def with_one(value: float, tensor: torch.Tensor) -> torch.Tensor:
    changed = tensor.clone()
    changed[0, -1, 2, 3] = value
    return changed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            lambda x: x.numpy(),
            "the image: expected a torch tensor, got a NumPy array (2, 3, 4, 6); torch.from_",
        ),
        (
            lambda x: [x, x],
            "the image: expected a torch tensor, got a list of 2; torch.tensor or torch.stack",
        ),
        (lambda x: Image.new("RGB", (6, 4)), "the image: expected a torch tensor, got a Pillow image"),
        (lambda x: None, "the image: expected a torch tensor, got NoneType"),
        (
            lambda x: (255 * x).byte(),
            "expected torch.float32, got torch.uint8; 8-bit levels are divided by 255",
        ),
        (lambda x: x.half(), "the image: expected torch.float32, got torch.float16; .to() converts it"),
        (lambda x: x.double(), "the image: expected torch.float32, got torch.float64"),
        (lambda x: x > 0.5, "the image: expected torch.float32, got torch.bool"),
        (lambda x: x.to("meta"), "the image: is on meta, but the model on cpu"),
        (lambda x: x[:0], "the image is empty, got (0, 3, 4, 6)"),
        (lambda x: 255 * x, "the image: expected values in [0, 1], got "),
        (lambda x: with_one(-0.5, x), "got -0.5 at (0, 2, 2, 3); all values lie from -0.5 to 0.9"),
        (
            lambda x: with_one(NAN, x),
            "got 1 of 144 values that are not finite, the first wrong one at (0, 2, 2",
        ),
        (lambda x: with_one(-INF, x), "1 of 144 values that are not finite"),
    ],
)
def test_images(given, message, perturb):
    model = flow(perturb)
    with pytest.raises(FlowkitError) as error:
        model(given(image()))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["log_prob", "bits_per_dim", "encode"])
@pytest.mark.parametrize(
    ("noise", "given", "message"),
    [
        ("normal", lambda y: y.numpy(), "the target: expected a torch tensor, got a NumPy array"),
        ("normal", lambda y: y.byte(), "the target: expected torch.float32 or torch.bool, got torch.uint8"),
        (
            "normal",
            lambda y: y.double(),
            "the target: expected torch.float32 or torch.bool, got torch.float64",
        ),
        ("normal", lambda y: y.to("meta"), "the target: is on meta, but the model on cpu"),
        (
            "normal",
            lambda y: with_one(0.4, y),
            "expected 0 or 1 everywhere (1 = ink), got 0.4 at (0, 0, 2, 3); all",
        ),
        (
            "normal",
            lambda y: with_one(NAN, y),
            "1 of 48 values that are not finite, the first wrong one at (0, 0",
        ),
        ("normal", lambda y: 0 * y + NAN, "48 of 48 values that are not finite"),
        ("normal", lambda y: 2 * y - 1, "expected 0 or 1 everywhere (1 = ink), got -1"),
        ("uniform", lambda y: with_one(1.01, y), "expected values in [0, 1], got 1.01 at (0, 0, 2, 3)"),
        ("none", lambda y: 255 * y, "expected values in [0, 1], got 255"),
        ("gaussian", lambda y: with_one(INF, y), "1 of 48 values that are not finite"),
    ],
)
def test_targets(noise, given, message, method, perturb):
    kind = "binary" if noise == "normal" else "continuous"
    p = flow(perturb, kind, noise)(image())
    y = (image()[:, :1] > 0.5).float()
    with pytest.raises(TensorError) as error:
        getattr(p, method)(given(y))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("noise", ["uniform", "none", "gaussian"])
def test_what_rounding_and_sampling_leave_is_a_target(noise, perturb):
    p = flow(perturb, "continuous", noise)(image())
    assert p.log_prob(torch.full((2, 1, 4, 6), 1 + 1e-6)).isfinite().all()
    p.encode(p.sample()[0])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda z: z[0], TensorError, "expected a list of latents, as `encode` returns, got a Tensor"),
        (
            lambda z: [z[0].detach().numpy(), z[1]],
            TensorError,
            "latent 0: expected a torch tensor, got a NumPy array",
        ),
        (lambda z: [z[0], z[1].half()], TensorError, "latent 1: expected torch.float32, got torch.float16"),
        (lambda z: [z[0], z[1].to("meta")], TensorError, "latent 1: is on meta, but the model on cpu"),
        (
            lambda z: z[::-1][:1],
            ShapeError,
            "expected latents [(2, 2, 2, 3), (2, 2, 2, 3)], got [(2, 2, 2, 3)]",
        ),
        (
            lambda z: [z[0], with_one(NAN, torch.zeros(2, 2, 4, 6))[..., ::2, 1::2]],
            TensorError,
            "latent 1: expected",
        ),
    ],
)
def test_latents(given, error, message, perturb):
    p = flow(perturb)(image())
    with pytest.raises(error) as raised:
        p.decode(given(p.encode(torch.ones(2, 1, 4, 6))))
    assert message in str(raised.value)


@pytest.mark.parametrize("temperature", [-0.1, INF, NAN])
def test_temperatures(temperature, perturb):
    with pytest.raises(ValueError, match="temperature must be 0 or more and finite, got"):
        flow(perturb)(image()).sample(temperature=temperature)


def test_values_are_not_looked_at_where_the_caller_vouches_for_them(perturb, monkeypatch):
    model, y = flow(perturb), torch.ones(2, 1, 4, 6)

    def fail(*_):
        raise AssertionError("looked")

    monkeypatch.setattr("flowkit.flow.model.check_values", fail)
    monkeypatch.setattr("flowkit.flow.distribution.check_values", fail)
    with unchecked():
        p = model(with_one(NAN, image()))
        p.log_prob(0.4 * y)
        p.decode([NAN * z for z in p.encode(y)])
        with pytest.raises(TensorError, match="expected torch.float32"):
            p.log_prob(y.double())
        with unchecked():
            pass
        assert not looks_at(y)
    assert looks_at(y)
    with pytest.raises(AssertionError, match="looked"):
        model(image())


def test_transforms_and_tensors_without_values_are_let_through(perturb):
    model = flow(perturb)
    seen = []

    def score(x):
        seen.append(looks_at(x))
        return x.sum()

    torch.func.vmap(score)(image())
    torch.compile(score, fullgraph=True, backend="eager")(image())
    assert seen[0] is False
    assert looks_at(image())
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert not looks_at(mode.from_tensor(image()))
    with torch.no_grad():
        assert model(image()).sample().isfinite().all()


def test_what_is_not_finite_is_no_pixel(perturb):
    """A comparison with NaN is False: without care, such a result would be paper."""
    for kind, noise in (("binary", "normal"), ("binary", "uniform"), ("continuous", "uniform")):
        target = flow(perturb, kind, noise).target
        y = target.restore(torch.tensor([NAN, INF, -INF, 0.5, -0.5]))
        assert y[:3].isnan().all()
        assert y[3:].isfinite().all()


def test_numpy_scalars_are_numbers(perturb):
    assert flow(perturb)(image()).sample(1, temperature=np.float32(0.5)).shape == (1, 2, 1, 4, 6)
