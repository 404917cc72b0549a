"""Losses by name."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from flowkit import build
from flowkit.losses import Fit, Objective
from flowkit.recipe import read_recipe

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


@pytest.mark.parametrize("name", ["l1", "cross_entropy"])
def test_losses_at_temperature_0_reach_every_weight(perturb, name):
    model, image, y = example(perturb, {"type": "binary"})
    Objective(model, {name: 1.0})(image, y)[0].backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


def test_noise_of_a_sample_does_not_depend_on_its_batch(perturb):
    for target in ({"type": "binary"}, {"type": "continuous"}, {"type": "continuous", "noise": "gaussian"}):
        model, image, y = example(perturb, target)
        generators = [torch.Generator().manual_seed(i) for i in range(2)]
        together = model(image).log_prob(y, generator=generators)
        alone = model(image[1:]).log_prob(y[1:], generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(together[1], alone[0])
