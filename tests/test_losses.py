"""Losses by name."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from flowkit import build
from flowkit.errors import ShapeError
from flowkit.losses import CrossEntropy, Fit, Objective, Skeleton, soft_skeleton
from flowkit.recipe import read_recipe
from flowkit.targets import Binary, Continuous

RECIPE = {
    "version": 1,
    "target": {"type": "binary"},
    "encoder": {"type": "unet", "widths": [4]},
    "flow": ["squeeze", "conv1x1", {"type": "affine_coupling", "hidden": 8}, "affine_injector"],
}


def example(perturb, target):
    torch.manual_seed(0)
    model = perturb(build({**RECIPE, "target": target})).double().eval()
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(2, 3, 4, 6, generator=generator, dtype=torch.float64)
    y = torch.rand(2, model.target.channels, 4, 6, generator=generator, dtype=torch.float64)
    return model, image, (y > 0.5).double() if target["type"] == "binary" else y


def test_the_default_is_the_likelihood_alone(perturb):
    model, image, y = example(perturb, {"type": "binary"})
    assert read_recipe(RECIPE).train.losses == {"nll": 1.0}

    def noise():
        return [torch.Generator().manual_seed(i) for i in range(2)]

    total, bits = Objective(model, {"nll": 1.0})(image, y, noise())
    expected = model(image).bits_per_dim(y, generator=noise()).mean()
    assert total == bits == expected


@pytest.mark.parametrize("shape", ["normal", "uniform"])
def test_cross_entropy_is_that_of_the_log_odds(perturb, shape):
    model, image, y = example(perturb, {"type": "binary", "noise": shape})
    fit = Fit(model(image), y)
    torch.testing.assert_close((fit.mode > 0).double(), model(image).sample(temperature=0)[0])
    slope = {"normal": 18, "uniform": 12}[shape]
    expected = F.binary_cross_entropy_with_logits(slope * fit.mode, y) / math.log(2)
    found, _ = Objective(model, {"cross_entropy": 1.0})(image, y)
    torch.testing.assert_close(found, expected)


def test_l1_is_the_distance_of_the_image_at_temperature_0(perturb):
    model, image, y = example(perturb, {"type": "continuous", "noise": "none"})
    found, _ = Objective(model, {"l1": 2.0})(image, y)
    torch.testing.assert_close(found, 2 * (model(image).sample(temperature=0)[0] - y).abs().mean())


def test_consistency_is_blind_to_what_the_reduction_does_not_see(perturb):
    torch.manual_seed(5)
    encoder = {"type": "unet", "widths": [4], "scale": 2}
    recipe = {**RECIPE, "target": {"type": "continuous", "noise": "none"}, "encoder": encoder}
    recipe["flow"] = [{"type": "squeeze", "factor": 4}, {"type": "affine_injector", "hidden": 4}]
    model = perturb(build(recipe)).double().eval()
    image = torch.rand(1, 3, 6, 8, dtype=torch.float64)
    mode = model(image).sample(temperature=0)[0]

    def loss(y):
        return Objective(model, {"consistency": 3.0})(image, y)[0]

    assert loss(mode) == 0
    torch.testing.assert_close(loss(mode - 0.25), torch.tensor(0.75, dtype=torch.float64))
    stripes = 0.25 * (-1.0) ** torch.arange(16, dtype=torch.float64)
    assert loss(mode + stripes) < 0.15  # as far from the mode; only its ends are seen


@pytest.mark.parametrize("name", ["l1", "cross_entropy", "skeleton"])
def test_losses_at_temperature_0_reach_every_weight(perturb, name):
    model, image, y = example(perturb, {"type": "binary"})
    Objective(model, {name: 1.0})(image, y)[0].backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


def binary_skeleton(ink, steps):
    """Lantuejoul's formula on boolean pixels, by another library."""
    cross, square = ndimage.generate_binary_structure(2, 1), np.ones((3, 3))
    found = np.zeros_like(ink)
    for _ in range(steps + 1):
        eroded = ndimage.binary_erosion(ink, cross, border_value=1)
        found |= ink & ~ndimage.binary_dilation(eroded, square)
        ink = eroded
    return found


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_of_binary_images_the_soft_skeleton_is_the_morphological_one(steps):
    rng = np.random.default_rng(steps)
    ink = ndimage.gaussian_filter(rng.standard_normal((2, 3, 31, 44)), (0, 0, 2, 2)) > 0.02
    found = soft_skeleton(torch.from_numpy(ink).double(), steps).numpy()
    assert found.any()
    for plane, skeleton in zip(ink.reshape(-1, 31, 44), found.reshape(-1, 31, 44), strict=True):
        np.testing.assert_array_equal(skeleton, binary_skeleton(plane, steps))


def test_gradients_of_the_soft_skeleton():
    ink = torch.rand(2, 1, 6, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: soft_skeleton(x, 2), ink.requires_grad_())


def fitted(v, y):
    return SimpleNamespace(mode=v[None, None], y=y[None, None])


def test_a_broken_stroke_costs_more_than_a_thin_one():
    truth = torch.zeros(24, 40, dtype=torch.float64)
    truth[9:14, 3:37] = 1
    broken, thin, bridged = truth.clone(), truth.clone(), truth.clone()
    broken[:, 18:22] = 0  # 20 pixels
    thin[9], thin[13] = 0, 0  # 68 pixels
    bridged[14:24, 20] = 1  # 10 pixels
    target = Binary()
    skeleton, cross_entropy = Skeleton(target), CrossEntropy(target)
    costs = [skeleton(fitted(target.embed(ink), truth)) for ink in (broken, bridged, thin, truth)]
    broken_cost, bridged_cost, thin_cost, least = costs
    assert min(broken_cost, bridged_cost) > 5 * thin_cost >= 5 * least >= 0
    assert cross_entropy(fitted(target.embed(broken), truth)) < cross_entropy(
        fitted(target.embed(thin), truth)
    )


def test_the_gap_of_a_stroke_is_pulled_to_ink():
    truth = torch.zeros(17, 30, dtype=torch.float64)
    truth[7:10] = 1
    v = Binary(noise="uniform").embed(truth)
    v[:, 12:15] = -0.5
    v.requires_grad_()
    Skeleton(Binary(noise="uniform"))(fitted(v, truth)).sum().backward()
    assert v.grad[8, 13] < -1e-3  # more ink, less loss


def test_of_a_page_without_ink_the_skeleton_is_the_ink_that_was_made_up():
    nothing, line = torch.zeros(12, 20), torch.zeros(12, 20)
    line[6, 2:18] = 1
    loss = Skeleton(Binary())
    empty, made_up = (loss(fitted(30 * Binary().embed(ink), nothing)) for ink in (nothing, line))
    assert empty == pytest.approx(0, abs=1e-6)
    assert made_up > 0.8
    with pytest.raises(ShapeError, match='"skeleton" is for binary targets only'):
        Skeleton(Continuous())


def test_noise_of_a_sample_does_not_depend_on_its_batch(perturb):
    for target in ({"type": "binary"}, {"type": "continuous"}, {"type": "continuous", "noise": "gaussian"}):
        model, image, y = example(perturb, target)
        generators = [torch.Generator().manual_seed(i) for i in range(2)]
        together = model(image).log_prob(y, generator=generators)
        alone = model(image[1:]).log_prob(y[1:], generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(together[1], alone[0])
