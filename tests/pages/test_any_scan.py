"""Pages at any resolution, through the weights that ship."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from flowkit import load
from flowkit.flow import ConditionalFlow
from flowkit.images.picture import Picture
from flowkit.pages import binarize
from flowkit.pages.likelihood import bits_per_dim
from flowkit.pages.phases import views
from flowkit.pages.sampler import PageSampler
from flowkit.synthetic.page import draw_cover


@pytest.fixture(scope="module")
def flow() -> ConditionalFlow:
    return load("binarize")


def page(cover: np.ndarray, noise: float = 3) -> Picture:
    noise = np.random.default_rng(1).normal(0, noise, cover.shape)
    grey = 232 - 0.8 * cover.astype(np.float32) + noise
    return Picture(np.clip(grey, 0, 255).astype(np.uint8)[..., None])


def f_measure(result: np.ndarray, truth: np.ndarray) -> float:
    return 200 * float((result & truth).sum()) / float(result.sum() + truth.sum())


def print_of(em: float, size: tuple[int, int], seed: int = 4) -> np.ndarray:
    return draw_cover(*size, np.random.default_rng(seed), text_size=em, layout="print")


@pytest.mark.slow
@pytest.mark.parametrize(("em", "least"), [(12, 94), (16, 97), (40, 98), (110, 99), (260, 99)])
def test_letters_of_any_size_are_ink(em: int, least: int, flow: ConditionalFlow) -> None:
    cover = print_of(em, (420, 300) if em < 50 else (900, 600))
    result = binarize(page(cover), model=flow)
    assert f_measure(result.binary, cover >= 128) > least
    assert (result.binary & (cover >= 128)).sum() > 0.97 * (cover >= 128).sum()
    assert result.notes == ()


@pytest.mark.slow
def test_large_letters_and_small_ones_of_one_page_are_ink(flow: ConditionalFlow) -> None:
    cover = np.zeros((1000, 900), np.uint8)
    cover[:560] = print_of(400, (900, 560), seed=5)
    cover[620:] = print_of(40, (900, 380))
    result = binarize(page(cover), model=flow)
    assert len(result.scales) == 2
    for rows in (slice(0, 560), slice(620, 1000)):
        assert f_measure(result.binary[rows], cover[rows] >= 128) > 97


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "em"), [("music", 200), ("poster", 90), ("table", 20), ("bands", 40)])
def test_notes_posters_tables_and_bands_are_ink(layout: str, em: int, flow: ConditionalFlow) -> None:
    size = (420, 300) if em < 50 else (800, 560)
    cover = draw_cover(*size, np.random.default_rng(em), text_size=em, layout=layout)
    result = binarize(page(cover), model=flow)
    assert f_measure(result.binary, cover >= 128) > 97
    assert result.notes == ()


@pytest.mark.slow
def test_a_negative_is_its_page(flow: ConditionalFlow) -> None:
    picture = page(print_of(40, (420, 300)))
    negative = Picture(255 - picture.pixels)
    result = binarize(negative, model=flow)
    assert np.array_equal(result.binary, binarize(picture, model=flow).binary)
    assert "light on dark" in result.notes[0]
    assert np.array_equal(binarize(picture, model=flow, invert="yes").binary,
                          binarize(negative, model=flow, invert="no").binary)  # fmt: skip


def test_samples_at_a_scale_share_the_latents_of_their_views(flow: ConditionalFlow) -> None:
    # too rough for contours by grey, which the views would have by themselves
    grey = np.asarray(Image.fromarray(page(print_of(40, (60, 44)), 25).pixels[..., 0]).resize((120, 88)))
    result = binarize(grey, model=flow, scale=2, samples=3, keep_samples=True, seed=5)
    assert result.scales == (2,)
    decided = views(Picture(grey[..., None]), 2)[1:3]  # the others are filled in from these
    for view in decided:
        alone = binarize(view.picture, model=flow, scale=1, samples=3, keep_samples=True, seed=5)
        assert result.samples is not None
        assert alone.samples is not None
        assert np.array_equal(result.samples[:, view.rows, view.cols], alone.samples)


def test_the_bits_of_a_page_at_a_scale_are_the_mean_of_its_views(flow: ConditionalFlow) -> None:
    grey = page(print_of(40, (64, 48))).pixels
    double = Picture(np.repeat(np.repeat(grey, 2, 0), 2, 1))
    result = binarize(double, model=flow, scale=2, likelihood=True)
    with torch.no_grad():
        bits = [
            bits_per_dim(
                PageSampler(flow, view.picture, seed=0), result.binary[view.rows, view.cols], lambda: None
            )
            for view in views(double, 2)
        ]
    assert result.bits_per_dim == pytest.approx(np.mean(bits), rel=1e-6)


@pytest.mark.parametrize("noise", [0, 16])
def test_hairlines_stay_at_a_scale_where_every_other_view_is_decided(
    noise: float, flow: ConditionalFlow
) -> None:
    """A line a pixel wide that runs through pixels of which none is decided, or all."""
    image = Image.new("L", (300, 200), 230)
    draw = ImageDraw.Draw(image)
    for x in range(10, 280, 45):
        draw.rectangle((x, 10, x + 9, 60), fill=40)
    lines = [((20, 80), (120, 180)), ((21, 80), (121, 180)), ((160, 180), (260, 80)), ((161, 180), (261, 80))]
    for line in lines:
        draw.line(line, fill=40)
    ink = np.asarray(image) < 128
    grey = np.asarray(image) + np.random.default_rng(0).normal(0, noise, ink.shape)
    found = binarize(np.clip(grey, 0, 255).astype(np.uint8), model=flow, scale=2, seed=0).binary
    assert found[75:][ink[75:]].mean() > 0.99
