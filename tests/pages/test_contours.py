"""Contours of spotless pages."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages import contours
from flowkit.pages.contours import settle
from flowkit.pages.results import Results
from flowkit.pages.strokes import strokes
from flowkit.synthetic.page import draw_cover


def cover_of(em: float = 40, size: tuple[int, int] = (340, 260), seed: int = 3) -> np.ndarray:
    return draw_cover(*size, np.random.default_rng(seed), text_size=em, layout="print")


def page(cover: np.ndarray, noise: float = 3.0, contrast: float = 0.8) -> Picture:
    grey = 235 - contrast * cover.astype(np.float32)
    grey += np.random.default_rng(1).normal(0, noise, cover.shape)
    return Picture(np.clip(grey, 0, 255).astype(np.uint8)[..., None])


def settled(picture: Picture, ink: np.ndarray) -> np.ndarray:
    results = Results(ink.copy(), None, None)
    settle(picture, strokes(picture), results.binary, results, 0)
    return results.binary


@pytest.mark.parametrize("contrast", [0.25, 0.8])
@pytest.mark.parametrize("change", [ndimage.binary_dilation, ndimage.binary_erosion])
def test_bold_and_thin_letters_get_the_contour_of_the_page(change: object, contrast: float) -> None:
    cover = cover_of()
    truth = cover >= 128
    ink = change(truth)  # type: ignore[operator]
    result = settled(page(cover, 2, contrast), ink)
    assert (ink ^ truth).mean() > 0.02
    beside = ndimage.binary_dilation(ink)  # strokes that have gone are not drawn again
    assert (result ^ truth)[beside].sum() < 0.06 * (ink ^ truth).sum()


def test_only_contours_change() -> None:
    cover = cover_of()
    truth = cover >= 128
    spot = np.zeros_like(truth)
    spot[:6, :6] = True  # the model's own opinion: paper that is ink, letters that are none
    half = truth & (np.arange(340) < 170)
    result = settled(page(cover), half | spot)
    assert result[1:5, 1:5].all()
    assert not (result & truth)[:, 172:].any()


def test_hairlines_beside_stems_stay() -> None:
    cover = np.zeros((120, 160), np.uint8)
    cover[20:100, 40:50] = cover[20:100, 90:100] = 255
    cover[60, 50:90] = 100  # two fifths as dark, from stem to stem
    truth = cover > 0
    assert np.array_equal(settled(page(cover, 0), truth), truth)
    bold = ndimage.binary_dilation(truth, np.ones((1, 3), bool))
    assert np.array_equal(settled(page(cover, 0), bold), truth)


def test_bands_of_rows_are_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    cover = cover_of(size=(200, 333))
    picture, ink = page(cover), ndimage.binary_dilation(cover >= 128)
    whole = settled(picture, ink)
    monkeypatch.setattr(contours, "_BAND", 16)
    assert np.array_equal(settled(picture, ink), whole)


@pytest.mark.parametrize("samples", [3, 8, 11])
def test_samples_and_votes_agree_with_the_decision(samples: int) -> None:
    rng = np.random.default_rng(0)
    cover = cover_of(size=(161, 90))
    drawn = np.stack([ndimage.binary_dilation(cover >= 128) ^ (rng.random(cover.shape) < 0.02)] * samples)
    drawn &= rng.random(drawn.shape) < 0.9
    kept = np.zeros((-(-samples // 8), *cover.shape), np.uint8)
    for n, sample in enumerate(drawn):
        kept[n // 8] |= sample.astype(np.uint8) << (n % 8)
    votes = drawn.sum(0).astype(np.uint8)
    results = Results(votes > samples // 2, votes.copy(), kept)
    before = results.binary.copy()
    picture = page(cover)
    settle(picture, strokes(picture), results.binary, results, samples)
    changed = results.binary ^ before
    assert changed.any()
    again = sum((kept[n // 8] >> (n % 8) & 1).astype(int) for n in range(samples))
    assert np.array_equal(again, results.votes)
    assert np.array_equal(results.votes[~changed], votes[~changed])  # type: ignore[index]
    assert np.array_equal(results.votes[changed] == samples, results.binary[changed])  # type: ignore[index]


def test_roughness_is_of_bare_paper() -> None:
    cover = cover_of(size=(500, 400))
    smooth, rough = (strokes(page(cover, noise)) for noise in (2.0, 20.0))
    assert smooth.spotless
    assert not rough.spotless
    stained = np.maximum(cover, 0)
    stained[:60, 250:] = 90
    assert not strokes(page(stained, 2)).spotless
    assert not strokes(page(cover[:24, :24])).spotless  # too little paper to say so
