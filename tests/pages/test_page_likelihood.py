"""bits/dim of whole pages, put together from windows."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from tiled import draw

from flowkit import ConditionalFlow
from flowkit.pages import binarize, read
from flowkit.pages.decision import check_sampling
from flowkit.pages.likelihood import bits_of_views, bits_per_dim, parts
from flowkit.pages.sampler import PageSampler
from flowkit.pages.tiles import tiles


@pytest.mark.parametrize("name", ["grey_flow", "colour_flow", "doubling_flow"])
def test_windows_add_up_to_the_page(name: str, request: pytest.FixtureRequest) -> None:
    model: ConditionalFlow = copy.deepcopy(request.getfixturevalue(name)).double()
    picture = read(np.random.default_rng(0).integers(0, 256, (121, 150, 3), dtype=np.uint8))
    whole, cut = (
        draw(PageSampler(model, picture, seed=3, core=core), check_sampling(seed=3), likelihood=True)
        for core in (4096, 40)
    )
    assert whole.bits_per_dim == pytest.approx(cut.bits_per_dim, rel=1e-9)


@pytest.mark.parametrize(("height", "width"), [(24, 32), (21, 30)])
def test_a_page_of_one_window_is_scored_by_the_flow(
    height: int, width: int, grey_flow: ConditionalFlow
) -> None:
    """With its padding, whose ink is that of its edge."""
    model = copy.deepcopy(grey_flow).double()
    page, ink = np.random.default_rng(0).random((2, height, width))
    missing = [(0, -n % model.multiple) for n in (height, width)]
    sampler = PageSampler(model, read(page), seed=5)
    picture = read(np.pad(page, missing, mode="edge"))
    rows, cols = picture.size
    noise = sampler.latents.dequantisation(1, range(rows), range(cols))
    with torch.no_grad():
        p = model(picture.window(slice(0, rows), slice(0, cols), 1).double())
        y = torch.from_numpy(np.pad(ink < 0.5, missing, mode="edge"))[None, None].double()
        expected = p.bits_per_dim(y, generator=torch.special.ndtr(noise).double())
    assert bits_per_dim(sampler, ink < 0.5, lambda: None) == pytest.approx(float(expected), rel=1e-6)


def test_views_of_a_page_count_by_their_pixels(grey_flow: ConditionalFlow) -> None:
    page, ink = np.random.default_rng(0).random((2, 64, 48))
    samplers = [PageSampler(grey_flow, read(part), seed=5) for part in (page[:48], page[48:, :32])]
    places = [(slice(0, 48), slice(0, 48)), (slice(48, 64), slice(0, 32))]
    first, second = (
        bits_per_dim(one, (ink < 0.2)[place], lambda: None)
        for one, place in zip(samplers, places, strict=True)
    )
    found = bits_of_views(samplers, places, ink < 0.2, lambda: None)
    assert abs(first - second) > 0.01
    assert found == pytest.approx((48 * 48 * first + 16 * 32 * second) / (48 * 48 + 16 * 32))


def test_a_pixel_has_the_bits_of_all_that_it_is_enlarged_to(grey_flow: ConditionalFlow) -> None:
    page, ink = np.random.default_rng(0).random((64, 48)), np.random.default_rng(1).random((32, 24)) < 0.5
    sampler = PageSampler(grey_flow, read(page), seed=5)
    enlarged = bits_per_dim(sampler, np.kron(ink, np.ones((2, 2))) > 0, lambda: None)
    assert bits_of_views([sampler], [(slice(None), slice(None))], ink, lambda: None) == pytest.approx(
        4 * enlarged
    )


def test_noise_never_reaches_its_end(grey_flow: ConditionalFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uniform noise is below 1, however far out the normal numbers are that it is made of."""
    sampler = PageSampler(grey_flow, read(np.zeros((24, 32), np.uint8)), seed=5)
    monkeypatch.setattr(sampler.latents.noise, "window", lambda *_: torch.full((1, 24, 32), 9.0))
    seen = []
    dequantise = grey_flow.target.dequantise

    def watched(y: torch.Tensor, uniform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(float(uniform.max()))
        return dequantise(y, uniform)

    monkeypatch.setattr(grey_flow.target, "dequantise", watched)
    bits_per_dim(sampler, np.zeros((24, 32), bool), lambda: None)
    assert max(seen) < 1


def test_a_better_page_is_likelier(grey_flow: ConditionalFlow) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 41), dtype=np.uint8)
    page = binarize(image, model=grey_flow, likelihood=True, scale=1)
    sampler = PageSampler(grey_flow, read(image), seed=0)
    against = bits_per_dim(sampler, ~page.binary, lambda: None)
    assert math.isfinite(page.bits_per_dim)
    assert page.bits_per_dim < against
    assert binarize(image, model=grey_flow).bits_per_dim is None


@pytest.mark.parametrize("core", [8, 20, 100])
def test_every_place_counts_once(core: int) -> None:
    count = np.zeros((50, 72), int)
    cut = parts(tiles(50, 72, core=core, margin=12, step=2))
    for part, sign in cut:
        count[part.rows.first : part.rows.last, part.cols.first : part.cols.last] += sign
    assert (count == 1).all()
    starts = [part.rows.first for part, _ in cut]
    assert starts == sorted(starts)
