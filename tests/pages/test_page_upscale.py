"""Pages made larger: without seams, in the page's own colours."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from flowkit import ConditionalFlow, build
from flowkit.errors import CheckpointError
from flowkit.pages import read, upscale
from flowkit.pages.decision import check_sampling
from flowkit.pages.sampler import PageSampler
from flowkit.pages.upscaling import enlarge

HEIGHT, WIDTH = 41, 53


def random_upscaler(scale: int, channels: int) -> ConditionalFlow:
    """Three levels with splits; hidden networks with weights that see as far as they can."""
    torch.manual_seed(0)
    step = [
        "actnorm",
        "conv1x1",
        {"type": "affine_injector", "hidden": 6},
        {"type": "affine_coupling", "hidden": 6},
    ]
    encoder = {"type": "rrdb", "features": 6, "growth": 3, "blocks": 1, "stack": [0], "scale": scale}
    model = build(
        {
            "version": 1,
            "target": {"type": "continuous", "channels": channels, "noise": "none"},
            "encoder": {**encoder, "in_channels": channels},
            "flow": [{"repeat": 3, "steps": ["squeeze", {"repeat": 1, "steps": step}], "between": ["split"]}],
        }
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 4 and weight.shape[-1] == 3:
                weight.normal_(0, 1 / weight[0].numel() ** 0.5)
    return model.eval()


@pytest.fixture(scope="module")
def quadrupling() -> ConditionalFlow:
    return random_upscaler(4, 3)


@pytest.fixture(scope="module")
def grey_doubling() -> ConditionalFlow:
    return random_upscaler(2, 1)


def scan(channels: int = 3, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def assembled(model: ConditionalFlow, image: NDArray[np.uint8], core: int) -> torch.Tensor:
    """The first sample's values, before they become levels."""
    sampler = PageSampler(model, read(image), seed=1, core=core)
    page = torch.full((model.target.channels, *sampler.size), torch.nan, dtype=torch.float64)
    for tile in sampler.tiles:
        for rows, cols, y in sampler.draw(tile, [0], 0.8):
            page[:, rows, cols] = y.double()
    assert len(sampler.tiles) == (1 if core > 1000 else len(sampler.tiles))
    return page


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ["quadrupling", "grey_doubling"])
def test_tiles_are_the_whole_page(name: str, dtype: torch.dtype, request: pytest.FixtureRequest) -> None:
    model = copy.deepcopy(request.getfixturevalue(name)).to(dtype)
    image = scan(model.in_channels, 97, 142)
    whole, cut = assembled(model, image, 4096), assembled(model, image, 32)
    assert whole.isfinite().all()
    assert whole.std() > 0.1
    torch.testing.assert_close(cut, whole, rtol=0, atol=1e-5)


def test_tiles_need_their_margin(quadrupling: ConditionalFlow) -> None:
    blind = copy.deepcopy(quadrupling)
    blind.path_reach = blind.reach = 0
    image = scan(3, 97, 142)
    assert (assembled(blind, image, 4096) - assembled(blind, image, 32)).abs().max() > 1e-3


def test_the_page_is_what_the_flow_decodes(quadrupling: ConditionalFlow) -> None:
    image = scan(3, 40, 48)
    p = quadrupling(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
    with torch.no_grad():
        central = p.sample(1, temperature=0.0)[0, 0].clamp(0, 1)
    found = upscale(image, model=quadrupling).image
    assert found.shape == (160, 192, 3)
    assert np.abs(found - 255 * central.permute(1, 2, 0).numpy()).max() <= 0.51


@pytest.mark.parametrize("name", ["quadrupling", "grey_doubling"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_page_keeps_its_channels(name: str, channels: int, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    image = scan(channels)
    page = upscale(image, model=model, samples=2, keep_samples=True)
    shape = (HEIGHT * model.scale, WIDTH * model.scale, *([3] if channels == 3 else []))
    assert page.image.shape == shape
    assert page.samples.shape == (2, *shape)
    assert page.image.dtype == page.samples.dtype == np.uint8
    assert np.abs(page.samples.mean(0) - page.image).max() <= 1.0


def test_a_grey_model_leaves_the_colours_to_interpolation(grey_doubling: ConditionalFlow) -> None:
    image = np.broadcast_to(np.uint8([200, 60, 30]), (30, 40, 3))
    grey = upscale(
        np.full((30, 40), round(0.299 * 200 + 0.587 * 60 + 0.114 * 30), np.uint8), model=grey_doubling
    )
    luma = grey.image.astype(float)[..., None]
    expected = luma + np.array([200, 60, 30]) - (0.299 * 200 + 0.587 * 60 + 0.114 * 30)
    inside = ((expected > 1) & (expected < 254)).all(2) & (grey.image > 0) & (grey.image < 255)
    found = upscale(image, model=grey_doubling).image
    assert inside.mean() > 0.1
    assert np.abs(found - expected)[inside].max() <= 1.6


def test_colours_have_no_seams(grey_doubling: ConditionalFlow) -> None:
    picture, sampling = read(scan()), check_sampling(samples=2)
    whole, cut = (
        enlarge(PageSampler(grey_doubling, picture, seed=0, core=core), sampling).image.astype(int)
        for core in (4096, 16)
    )
    assert np.abs(whole - cut).max() <= 1  # a value that is rounded to the other side


def test_dpi_grow_with_the_page(tmp_path: Path, quadrupling: ConditionalFlow) -> None:
    Image.fromarray(scan()).save(tmp_path / "page.png", dpi=(75, 75))
    page = upscale(tmp_path / "page.png", model=quadrupling)
    assert page.dpi == (300, 300)
    for suffix in (".png", ".tif"):
        page.save(tmp_path / f"large{suffix}")
        again = read(tmp_path / f"large{suffix}")
        assert again.dpi == (300, 300)
        assert np.array_equal(again.pixels, page.image)


def test_the_target_must_be_continuous() -> None:
    with pytest.raises(CheckpointError, match=r"its target is binary .* expected continuous with 1 or 3"):
        upscale(scan(), model="binarize")
