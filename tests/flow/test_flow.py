from __future__ import annotations

import math

import pytest
import torch

from flowkit import ConditionalFlow, build
from flowkit.encoders import Encoder
from flowkit.errors import RecipeError, ShapeError
from flowkit.layers import AffineInjector, Shape, Squeeze
from flowkit.targets import Continuous

STEP = [
    "actnorm",
    "conv1x1",
    {"type": "affine_injector", "hidden": 4},
    {"type": "affine_coupling", "hidden": 4},
]
RRDB = {"type": "rrdb", "features": 4, "growth": 2, "blocks": 2, "stack": [0, 1]}
UNET = {"type": "unet", "widths": [4, 5, 6]}
KINDS = {
    "binary": {
        "target": {"type": "binary"},
        "encoder": UNET,
        "flow": ["squeeze", {"repeat": 2, "steps": STEP}],
    },
    "two levels": {
        "target": {"type": "continuous", "noise": "none"},
        "encoder": UNET,
        "flow": [{"repeat": 2, "steps": ["squeeze", *STEP], "between": ["split"]}],
    },
    "super-resolution": {
        "target": {"type": "continuous", "channels": 1, "noise": "none"},
        "encoder": {**RRDB, "scale": 2},
        "flow": [{"repeat": 3, "steps": ["squeeze", *STEP], "between": ["split"]}],
    },
    "scale 1": {
        "target": {"type": "continuous", "noise": "uniform"},
        "encoder": {**RRDB, "scale": 1},
        "flow": ["squeeze", *STEP],
    },
}


def make(kind: str, perturb, dtype: torch.dtype = torch.float64) -> ConditionalFlow:
    torch.manual_seed(0)
    return perturb(build({"version": 1, **KINDS[kind]}), amount=0.1).to(dtype).eval()


def pair(model: ConditionalFlow, height: int = 8, width: int = 12, batch: int = 2):
    generator = torch.Generator().manual_seed(1)
    dtype = next(model.parameters()).dtype
    image = torch.rand(batch, model.in_channels, height, width, generator=generator, dtype=dtype)
    size = (batch, model.target.channels, height * model.scale, width * model.scale)
    y = (255 * torch.rand(size, generator=generator, dtype=dtype)).round() / 255
    return image, (y > 0.5).to(dtype) if model.target.nll_of.startswith("binary") else y


@pytest.mark.parametrize("kind", KINDS)
def test_decode_inverts_encode(kind, perturb):
    model = make(kind, perturb)
    image, y = pair(model)
    p = model(image)
    latents = p.encode(y)
    assert [tuple(z.shape[1:]) for z in latents] == p.latent_shapes == model.latent_shapes(8, 12)
    assert (p.decode(latents) - y).abs().max() <= 1e-10
    z = [torch.randn_like(z) for z in latents]
    back, _ = p._to_latents(p._from_latents(z)[0])
    assert max((a - b).abs().max() for a, b in zip(back, z, strict=True)) <= 1e-10


@pytest.mark.parametrize("kind", ["two levels", "super-resolution"])
def test_log_prob_is_the_change_of_variables(kind, perturb):
    model = make(kind, perturb)
    image, y = pair(model, 4, 8, batch=1)
    p = model(image)

    def flat(v: torch.Tensor) -> torch.Tensor:
        return torch.cat([z.flatten() for z in p.encode(v)])

    jacobian = torch.autograd.functional.jacobian(flat, y).reshape(y.numel(), y.numel())
    z = flat(y)
    expected = -0.5 * (z.square() + math.log(2 * math.pi)).sum() + torch.linalg.slogdet(jacobian)[1]
    assert (p.log_prob(y) - expected).abs().max() <= 1e-8
    torch.testing.assert_close(p.bits_per_dim(y), -p.log_prob(y) / math.log(2) / y.numel())


def test_the_image_decides(perturb):
    model = make("binary", perturb)
    image, y = pair(model)
    noise = [torch.Generator().manual_seed(3) for _ in range(2)]
    here, there = (model(x).log_prob(y, generator=g) for x, g in zip((image, 1 - image), noise, strict=True))
    assert ((here - there).abs() > 1e-3).all()


@pytest.mark.parametrize("kind", KINDS)
def test_sampling_is_reproducible_and_grows(kind, perturb):
    model = make(kind, perturb)
    image, _ = pair(model)
    p = model(image)
    four = p.sample(4, generator=torch.Generator().manual_seed(5))
    assert four.shape == (4, 2, *p.target_shape)
    torch.testing.assert_close(p.sample(2, generator=torch.Generator().manual_seed(5)), four[:2])
    assert not torch.equal(four[0], four[1])


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_samples_may_be_decoded_in_batches(kind, images, perturb, monkeypatch):
    model = make(kind, perturb)
    image, _ = pair(model, batch=images)
    alone = model(image).sample(5, generator=torch.Generator().manual_seed(5))
    monkeypatch.setattr("flowkit.flow.distribution.at_once", lambda *_: 2)
    together = model(image).sample(5, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(together, alone)


def test_temperature_scales_the_latents(perturb):
    model = make("two levels", perturb)
    image, _ = pair(model)
    p = model(image)
    zeros = [torch.zeros(2, *shape, dtype=torch.float64) for shape in p.latent_shapes]
    torch.testing.assert_close(p.sample(1, temperature=0)[0], p.decode(zeros))
    hot, cold = (
        p.sample(1, temperature=t, generator=torch.Generator().manual_seed(0))[0] for t in (1.0, 0.3)
    )
    for a, b in zip(p.encode(hot), p.encode(cold), strict=True):
        torch.testing.assert_close(0.3 * a, b)


def test_conditions_are_computed_once(perturb, monkeypatch):
    model = make("binary", perturb)
    image, y = pair(model)
    calls = []
    monkeypatch.setattr(type(model.encoder), "forward", _counted(type(model.encoder).forward, calls))
    p = model(image)
    p.sample(3)
    p.log_prob(y)
    p.decode(p.encode(y))
    assert len(calls) == 1


def _counted(function, calls):
    def counted(self, image):
        calls.append(image)
        return function(self, image)

    return counted


def test_float32_comes_close(perturb):
    model = make("two levels", perturb, torch.float32)
    image, y = pair(model, 16, 32)
    p = model(image)
    assert (p.decode(p.encode(y)) - y).abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((1, 3, 7, 8), "multiples of 2, got (1, 3, 7, 8)"),
        ((1, 1, 8, 8), "expected an image (B, 3, H, W), got (1, 1, 8, 8)"),
        ((0, 3, 8, 8), "the image is empty, got (0, 3, 8, 8)"),
        ((3, 8, 8), "expected an image (B, 3, H, W), got (3, 8, 8)"),
    ],
)
def test_images_of_a_wrong_shape(size, message, perturb):
    with pytest.raises(ShapeError) as error:
        make("binary", perturb)(torch.zeros(size, dtype=torch.float64))
    assert message in str(error.value)


def test_targets_latents_and_arguments_of_a_wrong_kind(perturb):
    model = make("binary", perturb)
    image, y = pair(model)
    p = model(image)
    with pytest.raises(ShapeError, match=r"expected a target \(2, 1, 8, 12\), got \(2, 1, 8, 10\)"):
        p.log_prob(y[..., :10])
    with pytest.raises(ShapeError, match=r"expected latents \[\(2, 4, 4, 6\)\], got \[\]"):
        p.decode([])
    with pytest.raises(ValueError, match="temperature must be 0 or more and finite, got -1"):
        p.sample(1, temperature=-1)
    with pytest.raises(ValueError, match="n must be 1 or more, or a torch.Size of such numbers, got 0"):
        p.sample(0)


def test_likelihood_rises_in_training():
    """A few steps on one pair: gradients of everything point the right way."""
    torch.manual_seed(0)
    model = build({"version": 1, **KINDS["binary"]})
    image = torch.rand(4, 3, 16, 16)
    y = (image.mean(1, keepdim=True) < 0.5).float()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = model(image).bits_per_dim(y).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_an_actnorm_is_initialised_by_the_first_training_pass():
    torch.manual_seed(0)
    model = build({"version": 1, **KINDS["two levels"]})
    image, y = pair(model, 16, 16)
    model.train()(image).log_prob(y)
    latents = model.eval()(image).encode(y)
    assert all(0.2 < z.std() < 5 for z in latents)


def test_a_mask_may_come_as_booleans(perturb):
    model = make("binary", perturb)
    image, y = pair(model)
    noise = [torch.Generator().manual_seed(3) for _ in range(2)]
    p = model(image)
    a, b = (p.log_prob(t, generator=g) for t, g in zip((y, y > 0.5), noise, strict=True))
    assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"encoder.blocks": 1_000_000_000}, "more than 300,000,000 parameters"),
        ({"target.channels": 3000}, "3,000 channels; a flow has 1,024 at most"),
    ],
)
@pytest.mark.slow
def test_absurd_numbers_end_soon(overrides, message):
    with pytest.raises(RecipeError, match=message):
        build(
            {"version": 1, **KINDS["scale 1"], "encoder": {"type": "rrdb", "scale": 1}}, overrides=overrides
        )


class Means(Encoder):
    """Means of cells: features at any stride, of which each reads nothing beyond its own cell."""

    in_channels, scale = 1, 1

    def provide(self, stride: int) -> Shape:
        self.stride = stride
        return Shape(1, stride)

    def forward(self, image: torch.Tensor) -> dict[int, torch.Tensor]:
        return {self.stride: torch.nn.functional.avg_pool2d(image, self.stride)}


def test_nothing_beyond_a_flows_reach_matters(perturb):
    torch.manual_seed(0)
    layers = [Squeeze(Shape(1, 1)), Squeeze(Shape(4, 2))]
    encoder = Means()
    layers.append(AffineInjector(Shape(16, 4), encoder.provide(4), hidden=3))
    flow = perturb(ConditionalFlow(encoder, layers, Continuous(channels=1, noise="none"))).double().eval()
    pixel, side = 33, 64
    image = torch.rand(1, 1, side, 8, dtype=torch.float64, requires_grad=True)
    y = torch.rand(1, 1, side, 8, dtype=torch.float64)
    latents = [torch.rand(1, 16, side // 4, 2, dtype=torch.float64)]
    for result in (
        flow(image).decode(latents)[0, 0, pixel].sum(),
        flow(image).encode(y)[-1][..., pixel // 4, :].sum(),
    ):
        [gradient] = torch.autograd.grad(result, image)
        rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
        assert rows.min() >= pixel - flow.reach
        assert rows.max() <= pixel + flow.reach
    assert rows.max() - pixel > flow.reach - 4  # it is no more than a cell too much


def test_sides_are_multiples_for_the_encoder_too():
    recipe = {"version": 1, "target": {"type": "binary"}, "encoder": UNET, "flow": ["actnorm"]}
    model = build(recipe)
    assert model.multiple == model.encoder.multiple > max(shape.stride for shape in model.latents)
    with pytest.raises(ShapeError, match=f"multiples of {model.multiple}"):
        model(torch.rand(1, 3, model.multiple, model.multiple + 1))
