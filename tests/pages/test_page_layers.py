"""Layers with a say in how a page may be cut."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiled import draw
from torch import nn

from flowkit import ConditionalFlow, build
from flowkit.pages import read
from flowkit.pages.decision import check_sampling
from flowkit.pages.sampler import PageSampler


def flow(step: dict, perturb: Callable[..., nn.Module]) -> ConditionalFlow:
    torch.manual_seed(0)
    recipe = {
        "version": 1,
        "target": {"type": "binary"},
        "encoder": {"type": "unet", "in_channels": 1, "widths": [4, 5]},
        "flow": ["squeeze", "actnorm", step, {"type": "affine_coupling", "hidden": 4}],
    }
    return perturb(build(recipe), amount=0.2).double().eval()


CHECKERBOARD = {"type": "affine_coupling", "hidden": 4, "mask": "checkerboard"}


@pytest.mark.parametrize(
    ("step", "grid", "whole"),
    [
        ({"type": "affine_coupling", "hidden": 4}, 4, False),
        (CHECKERBOARD, 4, False),
        ({"type": "inverse", "layer": CHECKERBOARD}, 4, False),
        ({"type": "conditional_conv1x1", "hidden": 4}, 4, True),
    ],
)
def test_tiles_are_the_page_whatever_the_layer(step, grid, whole, perturb):
    model = flow(step, perturb)
    assert (model.grid, model.whole_image) == (grid, whole)
    page = np.random.default_rng(0).random((90, 130))
    one, many = (
        draw(PageSampler(model, read(page), seed=1, core=core), check_sampling(samples=3))
        for core in (1000, 20)
    )
    assert np.array_equal(one.probability, many.probability)
    assert 0 < one.probability.mean() < 1


def test_a_checkerboard_on_a_fine_grid_widens_the_steps(perturb):
    recipe = {
        "version": 1,
        "target": {"type": "continuous"},
        "encoder": {"type": "rrdb", "scale": 1, "features": 4, "growth": 2, "blocks": 1, "stack": [0]},
        "flow": ["squeeze", "squeeze", {**CHECKERBOARD}],
    }
    model = build(recipe)
    assert (model.multiple, model.grid) == (4, 8)


def test_latents_of_one_shape_are_not_the_same_numbers():
    """A flow that does nothing but put its latents together: two, of the same channels and cells."""
    recipe = {
        "version": 1,
        "target": {"type": "continuous", "channels": 1, "noise": "none"},
        "encoder": {"type": "unet", "in_channels": 1, "widths": [4]},
        "flow": ["squeeze", {"type": "affine_injector", "hidden": 4}, "split"],
    }
    sampler = PageSampler(build(recipe).eval(), read(np.zeros((60, 40))), seed=1)
    [tile] = sampler.tiles
    [piece] = sampler.draw(tile, [0], 0.1)
    first, second = (piece.y[0, start::2].flatten().numpy() for start in (0, 1))
    assert first.std() > 0.05
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
