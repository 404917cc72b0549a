"""Pages that are super-resolved around their ink, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from flowkit import ConditionalFlow, load
from flowkit.errors import CheckpointError
from flowkit.images.picture import Picture
from flowkit.pages import read, upscale
from flowkit.pages.decision import check_sampling
from flowkit.pages.focus import AROUND, FADE, ink_mask
from flowkit.pages.sampler import PageSampler
from flowkit.pages.upscaling import enlarge
from flowkit.synthetic.page import draw_page


@pytest.fixture(scope="module")
def doubling(doubling_checkpoint: Path) -> ConditionalFlow:
    return load(doubling_checkpoint)


def bicubic(page: NDArray[np.uint8]) -> NDArray[np.uint8]:
    values = torch.from_numpy(page).permute(2, 0, 1)[None].float() / 255
    large = F.interpolate(values, scale_factor=2, mode="bicubic", align_corners=False)[0]
    return (255 * large.clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()


def test_only_tiles_with_a_mask_are_drawn(doubling: ConditionalFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    page = np.random.default_rng(0).integers(0, 256, (61, 96, 3), dtype=np.uint8)
    levels = np.zeros((61, 96, 1), np.uint8)
    levels[:20, :20] = 255
    drawn = []
    draw = PageSampler.draw

    def watched(self: PageSampler, tile, *args):
        drawn.append((tile.rows.start, tile.cols.start))
        return draw(self, tile, *args)

    monkeypatch.setattr(PageSampler, "draw", watched)
    sampler = PageSampler(doubling, read(page), seed=3, core=32)
    sampling = check_sampling(None, 0.8, 2, 3)
    found = enlarge(sampler, sampling, keep=True, mask=Picture(levels))
    assert drawn == [(0, 0)]
    assert len(sampler.tiles) == 6
    whole = enlarge(sampler, sampling, keep=True)
    np.testing.assert_array_equal(found.image[:36, :36], whole.image[:36, :36])
    np.testing.assert_array_equal(found.samples[:, :36, :36], whole.samples[:, :36, :36])
    for image in (found.image, *found.samples):
        difference = image.astype(int) - bicubic(page)
        assert np.abs(difference[44:]).max() <= 1  # rounded once more
        assert np.abs(difference[:, 44:]).max() <= 1
        assert np.abs(difference[:36, :36]).max() > 20


def test_the_mask_is_what_is_near_ink() -> None:
    rng = np.random.default_rng(1)
    ink = np.zeros((90, 150), bool)
    ink[:, :60] = draw_page(60, 90, rng)
    page = np.where(ink, 40, 225).astype(np.uint8)
    levels = ink_mask(read(page)).pixels[..., 0]
    assert levels.shape == ink.shape
    assert (levels[ink] == 255).mean() > 0.9
    assert not levels[:, 60 + 2 * (AROUND + FADE) :].any()
    assert ((levels > 0) & (levels < 255)).any()


def test_paper_alone_is_bicubic(doubling: ConditionalFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    page = np.tile(np.linspace(190, 230, 70).astype(np.uint8), (40, 1))
    plain = upscale(page, model=doubling).image
    monkeypatch.setattr(PageSampler, "draw", None)
    mask = Picture(np.zeros((*page.shape, 1), np.uint8))
    monkeypatch.setattr("flowkit.pages.upscaling.ink_mask", lambda *args, **kwargs: mask)
    found = upscale(page, model=doubling, focus="binarize").image
    assert np.abs(found.astype(int) - bicubic(page[..., None])[..., 0]).max() <= 1
    assert np.abs(found.astype(int) - plain).max() > 20


def test_a_model_of_ink_is_wanted(doubling: ConditionalFlow) -> None:
    page = Image.new("L", (16, 16), 200)
    with pytest.raises(CheckpointError, match="its target is continuous with 3 channel"):
        upscale(page, model=doubling, focus=doubling)
