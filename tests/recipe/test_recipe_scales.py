"""Every scale by recipe alone: 2, 3, 4, 8; from grey at low resolution to ink at high."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowkit import build
from flowkit.errors import RecipeError
from flowkit.pages import binarize, upscale
from flowkit.recipe import read_recipe

RRDB = {"blocks": 1, "stack": [0], "features": 4, "growth": 2}
SMALL = {"vars.steps": 1, "vars.hidden": 4, **{f"encoder.{name}": value for name, value in RRDB.items()}}
STEP = [
    "actnorm",
    "conv1x1",
    {"type": "affine_injector", "hidden": 4},
    {"type": "affine_coupling", "hidden": 4},
]


def of_scale(scale: int, flow: list[object], **encoder: object) -> dict[str, object]:
    encoder = {"type": "rrdb", **RRDB, "scale": scale, **encoder}
    return {"version": 1, "target": {"type": "continuous"}, "encoder": encoder, "flow": flow}


TWICE = of_scale(2, [{"repeat": 2, "steps": ["squeeze", *STEP], "between": ["split"]}])
THRICE = of_scale(3, [{"type": "squeeze", "factor": 3}, *STEP, "split", "squeeze", *STEP])
RECIPES = {
    "2": (TWICE, {}, 2),
    "3": (THRICE, {}, 3),
    "4": ("paper-super-resolve-x4", SMALL, 4),
    "8": ("srflow-x8", {**SMALL, "encoder.stack": [0]}, 8),
    "ink, 4": ("super-resolve-binarize-x4", {"vars.steps": 2, "vars.hidden": 4, "encoder.widths": [4, 5]}, 4),
}


def made(name, perturb):
    torch.manual_seed(0)
    source, changes, scale = RECIPES[name]
    return perturb(build(read_recipe(source, changes)), amount=0.05).eval(), scale


@pytest.mark.parametrize("name", RECIPES)
def test_a_target_and_its_latents_are_the_same_thing(name, perturb):
    model, scale = made(name, perturb)
    model.double()
    assert model.scale == scale
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(2, 3, 4, 6, generator=generator, dtype=torch.float64)
    size = (2, model.target.channels, 4 * scale, 6 * scale)
    y = (255 * torch.rand(size, generator=generator, dtype=torch.float64)).round() / 255
    y = y if model.target.channels == 3 else y.round()
    p = model(image)
    latents = p.encode(y)
    assert sum(z[0].numel() for z in latents) == y[0].numel()
    torch.testing.assert_close(p.decode(latents), y)
    assert p.log_prob(y, generator=generator).isfinite().all()


@pytest.mark.parametrize("name", RECIPES)
def test_pages_of_any_size_come_out_so_much_larger(name, perturb):
    model, scale = made(name, perturb)
    page = np.random.default_rng(0).integers(0, 256, (13, 19, 3), dtype=np.uint8)
    if model.target.channels == 1:
        found = binarize(page, model=model, samples=2)
        assert found.binary.shape == found.probability.shape == (13 * scale, 19 * scale)
    else:
        assert upscale(page, model=model).image.shape == (13 * scale, 19 * scale, 3)


def test_two_of_four_levels_of_x8_end_in_a_split():
    model = build(read_recipe("super-resolve-x8", {**SMALL, "encoder.stack": []}))
    assert model.latents == [(2, 2), (4, 4), (64, 16)]


def test_a_flow_of_scale_3_begins_with_a_squeeze_by_3():
    flow = ["squeeze", *STEP]
    with pytest.raises(RecipeError, match=r"no features at stride 2 of the target, only at 3, 6, 12, 24"):
        build(of_scale(3, flow))
