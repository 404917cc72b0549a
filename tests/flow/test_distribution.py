"""p(y | x) as a distribution: samples with gradients and densities, temperatures, generators, shapes."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import AffineTransform, Independent, TransformedDistribution

from flowkit import ConditionalFlow, as_distribution, build
from flowkit.errors import ShapeError
from flowkit.flow import ConditionalDistribution
from flowkit.flow.torch_distribution import TorchDistribution

TARGETS = {
    "binary": {"type": "binary"},
    "uniform binary": {"type": "binary", "noise": "uniform"},
    "levels": {"type": "continuous", "channels": 1},
    "real": {"type": "continuous", "channels": 1, "noise": "none"},
    "gaussian": {"type": "continuous", "channels": 1, "noise": "gaussian"},
}
DISCRETE = ("binary", "uniform binary", "levels")


def flow(target: str, perturb) -> ConditionalFlow:
    torch.manual_seed(0)
    step = [
        "actnorm",
        "conv1x1",
        {"type": "affine_injector", "hidden": 4},
        {"type": "affine_coupling", "hidden": 4},
    ]
    recipe = {
        "version": 1,
        "target": TARGETS[target],
        "encoder": {"type": "unet", "in_channels": 3, "widths": [4, 5, 6]},
        "flow": [{"repeat": 2, "steps": ["squeeze", *step], "between": ["split"]}],
    }
    return perturb(build(recipe), amount=0.1).double().eval()


def images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.fixture(params=TARGETS)
def target(request) -> str:
    return request.param


def test_samples_have_no_gradients_and_rsamples_have(target, perturb):
    model = flow(target, perturb)
    image = images().requires_grad_()
    p = model(image)
    y, v = (draw(2, temperature=0.7, generator=seeded(1)[0]) for draw in (p.sample, p.rsample))
    assert not y.requires_grad
    torch.testing.assert_close(model.target.restore(v), y)
    wrong = torch.autograd.grad((v - 0.3).square().sum(), [image, *model.parameters()])
    assert all(gradient.abs().sum() > 0 for gradient in wrong)
    # by the direction of a small step, in float64: the gradients are those of what was drawn
    with torch.no_grad():
        step = 1e-6 * wrong[0]
        moved = model(image + step).rsample(2, temperature=0.7, generator=seeded(1)[0])
        change = (moved - 0.3).square().sum() - (v - 0.3).square().sum()
    assert change.item() == pytest.approx((wrong[0] * step).sum().item(), rel=1e-3)


def test_what_is_decoded_has_gradients_only_where_there_are_any(target, perturb):
    p = flow(target, perturb)(images())
    y = p.decode([torch.randn(3, *shape, dtype=torch.float64) for shape in p.latent_shapes])
    assert y.requires_grad == (target not in DISCRETE)


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_log_probs_of_samples_are_the_densitys(target, temperature, perturb):
    model = flow(target, perturb)
    p = model(images())
    v, log_prob = p.sample_and_log_prob(4, temperature=temperature, generator=seeded(1)[0])
    assert (v.shape, log_prob.shape) == ((4, 3, 1, 8, 12), (4, 3))
    torch.testing.assert_close(v, p.rsample(4, temperature=temperature, generator=seeded(1)[0]))
    for one, density in zip(v, log_prob, strict=True):
        latents, log_det = p._to_latents(one)
        normal = torch.distributions.Normal(0.0, 1.0)
        expected = sum((normal.log_prob(z).flatten(1).sum(1) for z in latents), log_det)
        torch.testing.assert_close(density, expected, rtol=1e-9, atol=1e-9)
    if target == "real":
        torch.testing.assert_close(p.log_prob(v), log_prob, rtol=1e-9, atol=1e-9)
    assert all(
        g.isfinite().all() for g in torch.autograd.grad(log_prob.sum() + v.sum(), [*model.parameters()])
    )


@pytest.mark.parametrize("compact", [False, True])
def test_samples_of_one_image_have_their_own_log_probs(compact, perturb, monkeypatch):
    if compact:
        monkeypatch.setattr("flowkit.flow.distribution.at_once", lambda *_: 2)
    p = flow("real", perturb)(images(1))
    v, log_prob = p.sample_and_log_prob(5, generator=seeded(1)[0])
    torch.testing.assert_close(p.log_prob(v), log_prob, rtol=1e-9, atol=1e-9)


def test_several_targets_of_each_image(target, perturb):
    p = flow(target, perturb)(images())
    y = p.sample((2, 2), generator=seeded(1)[0])
    together = p.log_prob(y, generator=seeded(2)[0])
    noise = seeded(2)[0]
    alone = [p.log_prob(one, generator=noise) for one in y.flatten(0, 1)]
    assert together.shape == (2, 2, 3)
    torch.testing.assert_close(together.flatten(0, 1), torch.stack(alone))
    torch.testing.assert_close(p.bits_per_dim(y, generator=seeded(2)[0]), -together / math.log(2) / 96)
    numbers = torch.rand(y.shape, dtype=y.dtype, generator=seeded(3)[0])
    drawn = p.log_prob(y, generator=numbers)
    torch.testing.assert_close(drawn[1, 0], p.log_prob(y[1, 0], generator=numbers[1, 0]))


@pytest.mark.parametrize("shape", [torch.Size(), torch.Size([2]), (2, 3), [4]])
def test_sample_shapes(shape, perturb):
    p = flow("real", perturb)(images())
    y = p.sample(shape, generator=seeded(1)[0])
    assert y.shape == (*shape, 3, 1, 8, 12)
    many = p.sample(math.prod(shape), generator=seeded(1)[0])
    assert torch.equal(y.reshape(many.shape), many)


def test_temperatures_of_images_and_levels(perturb):
    p = flow("real", perturb)(images())

    def latents(temperature) -> list[torch.Tensor]:
        return p.encode(p.sample(generator=seeded(1)[0], temperature=temperature)[0])

    drawn = latents(1.0)
    of_images = torch.tensor([0.0, 0.5, 1.2], dtype=torch.float64)
    scaled = latents(of_images)
    for z, found in zip(drawn, scaled, strict=True):
        torch.testing.assert_close(found, of_images.view(3, 1, 1, 1) * z, rtol=1e-9, atol=1e-9)
    for found, z, temperature in zip(
        latents([0.3, of_images]), drawn, (0.3, of_images.view(3, 1, 1, 1)), strict=True
    ):
        torch.testing.assert_close(found, temperature * z, rtol=1e-9, atol=1e-9)
    for found, z in zip(latents(torch.tensor(0.3)), drawn, strict=True):
        torch.testing.assert_close(found, 0.3 * z, rtol=1e-6, atol=1e-6)


def test_nothing_is_drawn_at_temperature_0(perturb, monkeypatch):
    p = flow("real", perturb)(images())

    def fail(*_, **__):
        raise AssertionError("drew")

    monkeypatch.setattr(torch, "randn", fail)
    zeros = [torch.zeros(3, *shape, dtype=torch.float64) for shape in p.latent_shapes]
    torch.testing.assert_close(p.sample(temperature=0)[0], p.decode(zeros))
    torch.testing.assert_close(p.sample(temperature=[0, 0.0])[0], p.decode(zeros))


def test_an_images_samples_do_not_depend_on_its_batch(target, perturb):
    model = flow(target, perturb)
    image = images()
    batch = model(image).sample(4, generator=seeded(1, 2, 3))
    alone = model(image[1:2]).sample(4, generator=seeded(2))
    torch.testing.assert_close(batch[:, 1:2], alone)
    torch.testing.assert_close(model(image[1:2]).sample(4, generator=seeded(2)[0]), alone)
    turned = model(image.flip(0)).sample(4, generator=seeded(3, 2, 1))
    torch.testing.assert_close(turned.flip(1), batch)


WRONG = [
    ({"n": 0}, "n must be 1 or more, or a torch.Size of such numbers, got 0"),
    ({"n": (2, -1)}, "n must be 1 or more, or a torch.Size of such numbers, got (2, -1)"),
    ({"n": 1.5}, "n must be 1 or more, or a torch.Size of such numbers, got 1.5"),
    ({"n": True}, "n must be 1 or more, or a torch.Size of such numbers, got True"),
    ({"temperature": -1}, "temperature must be 0 or more and finite, got -1"),
    (
        {"temperature": torch.tensor([1.0, math.nan, 1.0])},
        "temperature must be 0 or more and finite, got nan",
    ),
    ({"temperature": torch.tensor([1.0, -2.0, 1.0])}, "temperature must be 0 or more and finite, got -2"),
    (
        {"temperature": torch.tensor([1.0, math.inf, 1.0])},
        "temperature must be 0 or more and finite, got inf",
    ),
    ({"temperature": [0.5, math.nan]}, "temperature must be 0 or more and finite, got nan"),
    (
        {"temperature": [0.5]},
        "temperature: a list has one for each of the 2 latents, got 1; a tensor (B,) has",
    ),
    (
        {"temperature": torch.ones(2)},
        "temperature: expected a number or a tensor (3,), one for each image, got (2,)",
    ),
    ({"temperature": None}, "temperature must be a number, a tensor or a list, got None"),
    ({"temperature": True}, "temperature must be a number, a tensor or a list, got True"),
    (
        {"generator": seeded(1, 2)},
        "a list of 3, one for each image, got a list of 2: ['Generator', 'Generator']",
    ),
    (
        {"generator": 5},
        "generator: expected a torch.Generator, or a list of 3, one for each image, got a int",
    ),
]


@pytest.mark.parametrize("method", ["sample", "rsample", "sample_and_log_prob"])
@pytest.mark.parametrize(("options", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_arguments(method, options, message, perturb):
    with pytest.raises((ValueError, ShapeError)) as error:
        getattr(flow("real", perturb)(images()), method)(**options)
    assert message in str(error.value)


def test_noise_of_a_wrong_kind(perturb):
    p = flow("levels", perturb)(images())
    y = p.sample()[0]
    with pytest.raises(ValueError, match="generator: expected a torch.Generator, or a list of 3"):
        p.log_prob(y, generator=seeded(1))
    with pytest.raises(ShapeError, match=r"expected noise \(3, 1, 8, 12\), got \(1, 8, 12\)"):
        p.log_prob(y, generator=y[0])
    with pytest.raises(
        ShapeError, match=r"expected a target \(3, 1, 8, 12\) or \(n, B, C, H, W\), got \(2, 1, 1,"
    ):
        p.log_prob(y[None, :1].expand(2, 1, 1, 8, 12))


def torch_distribution(target: str, count: int, perturb):
    return as_distribution(flow(target, perturb)(images(count)))


@pytest.mark.parametrize("count", [1, 3])
def test_shapes_of_a_torch_distribution(target, count, perturb):
    d = torch_distribution(target, count, perturb)
    assert (d.batch_shape, d.event_shape) == ((count,), (1, 8, 12))
    for shape in ((), (2,), (2, 4)):
        y = d.sample(shape)
        assert y.shape == (*shape, count, 1, 8, 12)
        assert d.support.check(y).all()
        assert d.log_prob(y).shape == (*shape, count)
    one = d.sample()[0]
    assert d.log_prob(one).shape == (count,)
    wide = d.expand((5, count))
    assert wide.sample((2,)).shape == (2, 5, count, 1, 8, 12)
    assert wide.log_prob(wide.sample((2,))).shape == (2, 5, count)
    assert d.sample((2,)).requires_grad is False
    assert d.has_rsample == (target not in DISCRETE)
    if d.has_rsample:
        assert d.rsample((2,)).requires_grad
    else:
        with pytest.raises(NotImplementedError, match="p.rsample draws what is rounded"):
            d.rsample()


def test_an_expanded_subclass_is_one(perturb):
    """Pyro takes distributions with a mixin of its own, and expands them."""

    class Mixed(TorchDistribution):
        pass

    d = torch_distribution("real", 3, perturb)
    assert type(Mixed(d.p, d.batch_shape).expand((2, 3))) is Mixed


def test_copies_of_one_image(perturb):
    d = torch_distribution("real", 1, perturb).expand((4,))
    y = d.sample((2,))
    assert y.shape == (2, 4, 1, 8, 12)
    assert not torch.equal(y[:, 0], y[:, 1])
    expected = d.p.log_prob(y[:, 2, None])[:, 0]
    torch.testing.assert_close(d.log_prob(y)[:, 2], expected)
    with pytest.raises(ValueError, match=r"cannot expand \(3,\) to \(4,\)"):
        torch_distribution("real", 3, perturb).expand((4,))


def test_torchs_own_wrappers_take_it(perturb):
    d = torch_distribution("real", 3, perturb)
    whole = Independent(d, 1)
    y = whole.rsample((2,))
    torch.testing.assert_close(whole.log_prob(y), d.log_prob(y).sum(-1))
    doubled = TransformedDistribution(d, AffineTransform(torch.zeros(1, 8, 12).double(), 2.0, event_dim=3))
    torch.testing.assert_close(doubled.log_prob(2 * y), d.log_prob(y) - 96 * math.log(2))
    assert isinstance(d.p, ConditionalDistribution)


def test_conditions_made_without_gradients_serve_none_that_wants_them(perturb):
    model = flow("real", perturb)
    image, y = images(), torch.rand(3, 1, 8, 12, dtype=torch.float64)
    weights = [parameter for layer in model.layers for parameter in layer.parameters()]
    expected = torch.autograd.grad(model(image).log_prob(y).sum(), weights)
    with torch.no_grad():
        p = model(image)
        p.log_prob(y)
    found = torch.autograd.grad(p.log_prob(y).sum(), weights)
    torch.testing.assert_close(found, expected)
    assert all(gradient.abs().sum() > 0 for gradient in found)
