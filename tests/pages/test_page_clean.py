"""`clean`: white paper, ink and pictures as they are, from ink that is known and from a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flowkit.degradations.texture import blur
from flowkit.errors import CheckpointError, MemoryLimitError
from flowkit.images.picture import Picture
from flowkit.pages import Page, clean, paper
from flowkit.pages.cleaning import cleaned
from flowkit.pages.decision import check_sampling
from flowkit.pages.paper import find_paper
from flowkit.pages.polarity import NOTE
from flowkit.synthetic.page import draw_page

H, W = 331, 457  # odd, and no multiple of any square
INK = draw_page(W, H, np.random.default_rng(3))
COVER = blur(INK.astype(np.float32), 0.8)[..., None]  # as a lens sees it


def page_of(ink: np.ndarray, **more: object) -> Page:
    return Page(binary=ink, sampling=check_sampling(), **more)


def old_paper() -> np.ndarray:
    """Yellow, lit from the left, with a brown stain that has an edge."""
    y, x = np.mgrid[:H, :W].astype(np.float32)
    light = 0.95 - 0.35 * x / W
    stain = 1 - 0.4 / (1 + np.exp((np.hypot(y - 150, x - 200) - 70) / 6))
    return light[..., None] * np.array([1.0, 0.93, 0.78], np.float32) * stain[..., None] ** [0.6, 1.0, 1.4]


def picture_of(values: np.ndarray, **more: object) -> Picture:
    return Picture(np.rint(255 * values.clip(0, 1)).astype(np.uint8), **more)


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))


def test_light_and_stains_become_white_and_letters_keep_their_soft_edges():
    old = old_paper() * (1 - 0.8 * COVER)
    image = cleaned(picture_of(old), page_of(INK)).image / 255
    truth = 1 - COVER
    assert image.shape == (H, W, 3)
    far = COVER[..., 0] < 0.001
    assert image[far].min() > 0.97
    assert np.median(image[COVER[..., 0] > 0.95]) < 0.02
    assert rmse(image, truth) < 0.75 * rmse(1 - INK[..., None], truth)  # than ink of 1 bit
    flat = (old / np.maximum(old_paper(), 1e-3)).clip(0, 1)
    assert rmse(image, truth) < rmse(flat, truth) < rmse(old, truth)


def test_ink_keeps_its_colour():
    red = np.array([0.75, 0.15, 0.1], np.float32)
    left = np.arange(W)[None, :, None] < W // 2
    ink = np.where(left, red, 0.1)
    image = cleaned(picture_of(0.9 * (1 - COVER) + ink * COVER), page_of(INK)).image
    core = (COVER[..., 0] > 0.95) & left[..., 0]
    r, g, b = np.median(image[core], 0)
    assert r - max(g, b) > 100
    black = image[(COVER[..., 0] > 0.95) & ~left[..., 0]]
    assert np.ptp(np.median(black, 0)) <= 2


def test_a_matte_of_samples_is_as_pale_as_it_is_in_doubt():
    old = picture_of(np.full((H, W, 1), 0.9) * (1 - 0.8 * COVER))
    sampling = check_sampling(samples=4)
    votes = np.where(INK, 4, 0).astype(np.uint8)
    votes[:, : W // 2] = np.where(INK[:, : W // 2], 1, 0)
    image = cleaned(old, Page(INK, sampling, votes)).image
    assert image.shape == (H, W)
    core = COVER[..., 0] > 0.95
    sure, doubtful = (image[core & (np.arange(W) > W // 2 + 5)], image[core & (np.arange(W) < W // 2 - 5)])
    assert np.median(sure) < 20
    assert np.median(doubtful) == pytest.approx(255 * 0.75, abs=12)


def test_a_photograph_is_kept_and_a_stain_is_not():
    rng = np.random.default_rng(0)
    waves = np.sin(np.mgrid[:160, :200].sum(0) / 17)
    photograph = np.clip(0.45 + 0.2 * waves + rng.normal(0, 0.05, (160, 200)), 0, 1)
    ink = INK.copy()
    ink[120:300, 100:340] = False
    values = old_paper() * (1 - 0.8 * blur(ink.astype(np.float32), 0.8)[..., None])
    values[130:290, 120:320] *= photograph[..., None]
    made = cleaned(picture_of(values), page_of(ink))
    kept = np.zeros((H, W), bool)
    kept[130:290, 120:320] = True
    assert made.pictures is not None
    assert (made.pictures & kept).sum() / (made.pictures | kept).sum() > 0.75
    assert "kept as a picture" in made.notes[-1]
    inside = made.image[140:280, 130:310].mean(2) / 255
    before = values[140:280, 130:310].mean(2)
    assert np.corrcoef(inside.ravel(), before.ravel())[0, 1] > 0.97
    without = cleaned(picture_of(values), page_of(ink), pictures=False)
    assert without.image[140:280, 130:310].min() > 240
    assert without.pictures is None and without.notes == ()
    assert cleaned(picture_of(old_paper()), page_of(np.zeros((H, W), bool))).pictures is None


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (9, 4)])
def test_pages_of_any_size(size: tuple[int, int], channels: int):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, channels), dtype=np.uint8)
    image = cleaned(Picture(pixels, (300, 300)), page_of(np.zeros(size, bool))).image
    assert image.shape == (size if channels == 1 else (*size, 3))
    assert (image == 255).all()
    assert cleaned(Picture(pixels), page_of(np.ones(size, bool))).image.shape[:2] == size


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch):
    old = picture_of(old_paper() * (1 - 0.8 * COVER))
    whole = cleaned(old, page_of(INK)).image
    monkeypatch.setattr(paper, "BAND", 40)
    assert np.abs(whole.astype(int) - cleaned(old, page_of(INK)).image).max() <= 1


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_deep_pages_become_8_bits_with_a_note(kind: type):
    old = old_paper() * (1 - 0.8 * COVER)
    top = 1 if kind is np.float32 else 65535
    deep = Picture((old * top).astype(kind))
    made = cleaned(deep, page_of(INK))
    assert made.image.dtype == np.uint8
    assert made.notes == ("its samples of more than 8 bits are written as 8",)
    assert np.abs(made.image.astype(int) - cleaned(picture_of(old), page_of(INK)).image).mean() < 0.5


def test_paper_is_the_mean_around_the_ink_and_smooth_below_it():
    values = old_paper() * (1 - 0.9 * COVER)
    found = find_paper(picture_of(values), COVER[..., 0] > 0.001, 4)
    whole = found.window(slice(0, H), W)
    assert whole.shape == (H, W, 3)
    assert rmse(whole, old_paper()) < 0.012
    part = found.window(slice(101, 139), W)
    assert np.allclose(part, whole[101:139])


def test_by_a_model_from_a_file(ink_checkpoint: Path, tmp_path: Path):
    old = picture_of(old_paper() * (1 - 0.8 * COVER), dpi=(200, 150))
    made = clean(old, model=ink_checkpoint, samples=3, seed=5)
    assert (made.dpi, made.page.sampling.samples) == ((200, 150), 3)
    again = clean(old, model=ink_checkpoint, samples=3, seed=5)
    assert np.array_equal(made.image, again.image)
    made.save(tmp_path / "page.png")
    assert np.array_equal(clean(old, model=ink_checkpoint).image.shape, made.image.shape)
    negative = replace(old, pixels=255 - old.pixels)
    turned = clean(negative, model=ink_checkpoint, samples=3, seed=5, invert="yes")
    assert np.array_equal(turned.image, made.image)


def test_light_letters_on_dark_become_dark_on_white():
    values = np.where(INK[..., None], 0.95, 0.1)
    made = clean(picture_of(values), model="binarize")
    assert NOTE in made.notes
    assert np.median(made.image[~INK]) == 255


def test_what_cannot_be_cleaned(doubling_checkpoint: Path, ink_checkpoint: Path):
    old = picture_of(old_paper())
    with pytest.raises(CheckpointError, match="target is continuous"):
        clean(old, model=doubling_checkpoint)
    with pytest.raises(MemoryLimitError, match="memory"):
        clean(old, model=ink_checkpoint, memory=1000)
    with pytest.raises(ValueError, match="invert"):
        clean(old, model=ink_checkpoint, invert="maybe")
