"""Pages of a flow with levels whose samples have something in common all over the page."""

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
from flowkit.pages.likelihood import bits_per_dim
from flowkit.pages.sampler import PageSampler


@pytest.fixture
def model(perturb: Callable[..., nn.Module]) -> ConditionalFlow:
    torch.manual_seed(0)
    level = [
        "haar",
        "actnorm",
        {"type": "affine_coupling", "hidden": 4, "mask": "first"},
        {"type": "conditional_split", "hidden": 4, "keep": 1, "kernel": 1},
    ]
    first = {"type": "unet", "in_channels": 1, "widths": [4, 5]}
    recipe = {
        "version": 1,
        "target": {"type": "binary"},
        "encoder": {"type": "stacked", "first": first, "second": {**first, "in_channels": 2}, "hidden": 4},
        "flow": [{"repeat": 2, "steps": level}, {"type": "common_factor", "hidden": 4}],
    }
    return perturb(build(recipe), amount=0.2).double().eval()


def test_it_is_cut_into_tiles(model):
    assert (model.whole_image, model.factor) == (False, model.layers[-1])
    page = np.random.default_rng(0).random((90, 130))
    one, many = (
        draw(PageSampler(model, read(page), seed=1, core=core), check_sampling(samples=5), likelihood=True)
        for core in (1000, 20)
    )
    assert np.array_equal(one.probability, many.probability)
    assert 0 < one.probability.mean() < 1
    assert one.bits_per_dim == pytest.approx(many.bits_per_dim, rel=1e-9)


def test_tiles_have_the_density_of_the_flow(model):
    page, ink = np.random.default_rng(0).random((2, 24, 36))
    sampler = PageSampler(model, read(page), seed=5, core=8)
    noise = torch.special.ndtr(sampler.latents.dequantisation(1, range(24), range(36)))
    with torch.no_grad():
        p = model(read(page).window(slice(0, 24), slice(0, 36), 1).double())
        y = torch.from_numpy(ink < 0.3)[None, None]
        expected = p.bits_per_dim(y, generator=noise.double())
    assert bits_per_dim(sampler, ink < 0.3, lambda: None) == pytest.approx(float(expected), rel=1e-6)


def test_a_page_shares_one_factor(model):
    """With no noise of its own, a sample's coarsest values are all of the factor's sign."""
    layer = model.factor
    with torch.no_grad():
        for weight in layer.network.parameters():
            weight.zero_()
        layer.network.out.bias.fill_(50.0)
    sampler = PageSampler(model, read(np.random.default_rng(0).random((64, 64))), seed=1, core=16)
    features = [sampler._seen(tile) for tile in sampler.tiles]
    shares = set()
    for tile, seen in zip(sampler.tiles, features, strict=True):
        latents = [sampler.latents.of(tile, 0, [1.0] * 3)]
        before = latents[0][-1].clone()
        sampler.latents.share_factor(seen, [0], 1.0, latents)
        shares |= set(((latents[0][-1] - before) / 50).flatten().round(decimals=9).tolist())
    assert len(shares) == 1
    assert shares != {0.0}


def test_details_without_a_temperature_of_their_own_follow_the_coarser_latents(model):
    """Samples that differ by nothing, where only latents differ that the model keeps at 0."""
    page = read(np.random.default_rng(0).random((64, 64)))
    sampling = check_sampling(samples=6)
    model.temperatures = (0.0, 0.0, 0.0)
    still = draw(PageSampler(model, page, seed=1), sampling)
    model.temperatures = (0.0, 0.0, 2.0)
    moving = draw(PageSampler(model, page, seed=1), sampling)
    assert set(np.unique(still.probability)) <= {still.probability.min(), still.probability.max()}
    assert len(np.unique(moving.probability)) > 2
