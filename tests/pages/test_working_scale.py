"""Working scales, views of a page at them, and the polarity of pages."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages.decision import check_sampling
from flowkit.pages.phases import regions, smoothed, views
from flowkit.pages.polarity import NOTE, dark_on_light, is_light_on_dark
from flowkit.pages.results import Results
from flowkit.pages.strokes import CELL, strokes
from flowkit.pages.working_scale import WorkingScales, check_scale, working_scales
from flowkit.synthetic.page import draw_cover


def page(cover: np.ndarray) -> Picture:
    """Dark ink on light paper with a little noise, of the ink's cover in 255ths."""
    noise = np.random.default_rng(1).normal(0, 4, cover.shape)
    grey = 235 - 0.82 * cover.astype(np.float32) + noise
    return Picture(np.clip(grey, 0, 255).astype(np.uint8)[..., None])


def print_of(em: float, size: tuple[int, int] = (700, 500), seed: int = 3) -> np.ndarray:
    return draw_cover(*size, np.random.default_rng(seed), text_size=em, layout="print")


@pytest.mark.parametrize("times", [2, 3, 5])
def test_a_scan_at_more_dpi_has_a_larger_scale(times: int) -> None:
    cover = print_of(64, (330, 260), seed=4)
    large = np.asarray(Image.fromarray(cover).resize((330 * times, 260 * times), Image.Resampling.BICUBIC))
    at_one = working_scales(strokes(page(cover))).scales
    assert at_one == (1,)
    [scale] = working_scales(strokes(page(large))).scales
    assert 0.5 * times <= scale <= 1.4 * times


def test_small_print_is_enlarged_and_blank_pages_keep_their_scale() -> None:
    assert working_scales(strokes(page(print_of(11)))).scales == (0.5,)
    assert working_scales(strokes(page(print_of(40)))).scales == (1,)
    blank = np.zeros((300, 200), np.uint8)
    assert working_scales(strokes(page(blank))).scales == (1,)


def test_large_letters_above_small_ones_are_two_scales() -> None:
    cover = np.zeros((1100, 900), np.uint8)
    cover[:640] = print_of(420, (900, 640), seed=5)
    cover[700:] = print_of(40, (900, 400))
    found = working_scales(strokes(page(cover)))
    assert len(found.scales) == 2
    large, small = max(found.scales), min(found.scales)
    assert (large >= 4, small) == (True, 1)
    assert found.labels is not None
    labels = np.array(found.scales)[found.labels]
    lower = 720 // CELL
    assert (labels[lower:] == small).mean() > 0.95
    inside = cover[: CELL * lower, : CELL * (900 // CELL)].reshape(lower, CELL, -1, CELL).min((1, 3)) == 255
    assert (labels[:lower, : inside.shape[1]][inside] == large).mean() > 0.95
    # the paper between large letters may hold small ones: it stays with the main scale
    assert (labels == small).mean() > 0.5


def test_soft_stains_and_dark_borders_have_no_scale_of_their_own() -> None:
    cover = print_of(40, (900, 700))
    alone = working_scales(strokes(page(cover)))
    y, x = np.mgrid[:700, :900]
    stain = 200 * np.exp(-(((y - 350) / 110) ** 2) - ((x - 450) / 150) ** 2)
    rough = cover // 2 + np.random.default_rng(3).integers(0, 90, cover.shape).astype(np.uint8)
    for spoilt in (np.maximum(cover, stain.astype(np.uint8)), np.where(x < 60, 200, rough).astype(np.uint8)):
        assert working_scales(strokes(page(spoilt))).scales == alone.scales == (1,)


@pytest.mark.parametrize("scale", [0, -1, 17, 1.5, "2", None])
def test_wrong_scales_are_named(scale: object) -> None:
    with pytest.raises(ValueError, match="scale must be auto, 0.5 or a whole number from 1 to 16, got"):
        check_scale(scale)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_views_cover_every_pixel_once(scale: int, dtype: type) -> None:
    pixels = (np.random.default_rng(0).random((23, 31, 3)) * (1 if dtype is np.float32 else 255)).astype(
        dtype
    )
    seen = np.zeros((23, 31), int)
    together = np.zeros_like(pixels)
    for view in views(Picture(pixels, dpi=(300, 300)), scale):
        assert view.picture.pixels.dtype == dtype
        seen[view.rows, view.cols] += 1
        together[view.rows, view.cols] = view.picture.pixels
    assert (seen == 1).all()
    assert np.array_equal(together, smoothed(pixels, scale) if scale > 1 else pixels)


def test_a_page_smaller_than_its_scale_has_a_view_for_each_row() -> None:
    found = views(Picture(np.full((3, 40, 1), 9, np.uint8)), 8)
    assert len(found) == 9
    assert {view.picture.pixels.shape for view in found} == {(1, 14, 1), (1, 13, 1)}


@pytest.mark.parametrize("side", [2, 3, 4, 5, 8])
def test_smoothing_moves_nothing(side: int) -> None:
    spot = np.zeros((41, 41, 1), np.float32)
    spot[20, 20] = 1
    smooth = smoothed(spot, side)[..., 0]
    assert smooth.sum() == pytest.approx(1, abs=1e-5)
    assert ndimage.center_of_mass(smooth) == pytest.approx((20, 20), abs=1e-4)
    assert np.count_nonzero(smooth) == (side + 1 - side % 2) ** 2


@pytest.mark.parametrize("side", [2, 3, 5, 8, 16])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_smoothing_is_the_mean_of_a_box(side: int, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowkit.pages.phases._ROWS", 7)
    values = np.random.default_rng(side).random((24, 19, 3))
    pixels = (values * np.iinfo(kind).max if kind != np.float32 else values).astype(kind)
    weights = np.ones(side + 1 - side % 2)
    weights[[0, -1]] *= 0.5 if side % 2 == 0 else 1
    expected = pixels.astype(np.float64)
    for axis in (0, 1):
        expected = ndimage.correlate1d(expected, weights / weights.sum(), axis, mode="nearest")
    found = smoothed(pixels, side)
    assert found.dtype == kind
    assert np.abs(found - expected).max() <= (1e-5 if kind == np.float32 else 0.5)


def test_the_page_enlarged_is_one_view_twice_as_large() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
    [view] = views(Picture(pixels), 0.5)
    assert view.picture.pixels.shape == (18, 28, 3)
    large = view.picture.pixels.reshape(9, 2, 14, 2, 3).mean((1, 3))
    assert np.abs(large - pixels).mean() < 0.4 * pixels.std()


def test_results_are_halved_by_majority() -> None:
    sampling = check_sampling(samples=3)
    large = Results.blank((4, 6), sampling, keep=True)
    rng = np.random.default_rng(0)
    inks = rng.random((4, 4, 6)) < 0.5
    every = slice(None), slice(None)
    for sample, ink in zip((None, 0, 1, 2), inks, strict=True):
        large.add(sample, *every, ink)
    half = large.halved()
    fours = inks.reshape(4, 2, 2, 3, 2).sum((2, 4))
    assert np.array_equal(half.binary, fours[0] >= 2)
    assert half.votes is not None
    assert np.array_equal(half.votes, (fours[1:].sum(0) + 2) // 4)
    assert half.kept is not None
    assert np.array_equal([half.kept[0] >> bit & 1 for bit in range(3)], fours[1:] >= 2)


def test_regions_take_every_pixel_at_the_main_scale_and_at_its_own() -> None:
    labels = np.zeros((10, 12), np.uint8)
    labels[:2, 3:5] = 1
    labels[6:, 9:] = 1
    picture = Picture(np.random.default_rng(2).integers(0, 256, (77, 93, 1), np.uint8))
    taken = np.zeros((77, 93), int)
    for part in regions(picture, WorkingScales((1, 4), labels)):
        assert part.mask is not None
        assert part.mask.shape == (part.rows.stop - part.rows.start, part.cols.stop - part.cols.start)
        assert part.views[0].picture.pixels.base is not None  # a view of the page or of one smooth copy
        taken[part.rows, part.cols] += part.mask
    own = labels.repeat(CELL, 0).repeat(CELL, 1)[:77, :93]
    assert np.array_equal(taken, 1 + own)


def test_negatives_are_told_from_bands_grounds_and_plain_pages() -> None:
    text = page(print_of(24))
    negative = Picture(255 - text.pixels)
    assert is_light_on_dark(negative)
    assert not is_light_on_dark(text)
    band = text.pixels.copy()
    band[100:180] = 255 - band[100:180]
    assert not is_light_on_dark(Picture(band))
    ground = np.full((1500, 1500, 1), 15, np.uint8)  # a small page on a black table
    ground[500:1000, 400:1100] = text.pixels
    assert np.median(ground) < 128
    assert not is_light_on_dark(Picture(ground))
    assert not is_light_on_dark(Picture(np.zeros((200, 300, 3), np.uint8)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_inverting_is_exact_and_noted_only_where_it_was_found(dtype: type) -> None:
    top = 1.0 if dtype is np.float32 else float(np.iinfo(dtype).max)
    light = (page(print_of(24)).pixels.astype(np.float64) / 255 * top).astype(dtype)
    dark = Picture((top - light).astype(dtype))
    turned = dark_on_light(dark, "auto")
    assert turned.notes == (NOTE,)
    assert np.allclose(turned.pixels, light)
    assert dark_on_light(dark, "no") is dark
    assert dark_on_light(dark, "yes").notes == ()
    assert dark_on_light(turned, "auto") is turned
