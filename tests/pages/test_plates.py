"""Dark areas with light writing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from flowkit import load
from flowkit.images.picture import Picture
from flowkit.pages import binarize
from flowkit.pages.plates import find_plates, turned
from flowkit.pages.results import Results
from flowkit.pages.strokes import strokes
from flowkit.synthetic.page import draw_cover

PLATE = slice(120, 210), slice(40, 400)


def cover_of(*, plate: bool, writing: bool = True, seed: int = 5) -> np.ndarray:
    cover = draw_cover(440, 330, np.random.default_rng(seed), text_size=30, layout="print")
    if plate:
        words = np.zeros((90, 360), np.uint8)
        words[20:70, 20:-20] = draw_cover(320, 50, np.random.default_rng(7), text_size=36, layout="print")
        cover[110:220, 30:410] = 0
        cover[PLATE] = 255 - words if writing else 255
    return cover


def page(cover: np.ndarray, dtype: type = np.uint8, channels: int = 1) -> Picture:
    grey = 230 - 0.78 * cover.astype(np.float32) + np.random.default_rng(1).normal(0, 3, cover.shape)
    pixels = np.clip(grey, 0, 255)[..., None].repeat(channels, 2)
    if dtype is not np.uint8:
        pixels = pixels / 255 * (1 if dtype is np.float32 else 65535)
    return Picture(pixels.astype(dtype))


@pytest.mark.parametrize(
    ("dtype", "channels"), [(np.uint8, 1), (np.uint8, 3), (np.uint16, 1), (np.float32, 3)]
)
def test_a_plate_is_found_to_the_pixel(dtype: type, channels: int) -> None:
    picture = page(cover_of(plate=True), dtype, channels)
    found = strokes(picture)
    plates = find_plates(picture, found)
    expected = np.zeros((330, 440), bool)
    expected[PLATE] = True
    assert plates is not None
    assert (plates ^ expected).sum() < 0.005 * expected.sum()
    seen = turned(picture, plates, found)
    assert seen.pixels.dtype == dtype
    top = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    turned_words = seen.pixels[PLATE][4:-4, 4:-4] / top
    assert np.median(turned_words) > 0.8  # paper
    far = ~ndimage.binary_dilation(expected, iterations=5)
    assert np.array_equal(seen.pixels[far], picture.pixels[far])


@pytest.mark.parametrize("writing", [False, True])
def test_letters_and_black_areas_are_no_plates(writing: bool) -> None:
    cover = cover_of(plate=writing)
    if writing:  # of a picture: as much between black and white as there is of either
        cover[PLATE] = np.linspace(40, 255, 360).astype(np.uint8)
    else:
        cover = np.maximum(cover, cover_of(plate=True, writing=False))
    picture = page(cover)
    assert find_plates(picture, strokes(picture)) is None
    large = page(draw_cover(700, 500, np.random.default_rng(2), text_size=300, layout="print"))
    assert find_plates(large, strokes(large)) is None


@pytest.mark.slow
def test_writing_on_a_plate_is_paper_and_its_ground_ink() -> None:
    cover = cover_of(plate=True)
    result = binarize(page(cover), model=load("binarize"), samples=3, seed=2, keep_samples=True)
    truth = cover >= 128
    assert (result.binary ^ truth)[PLATE].mean() < 0.01
    assert result.samples is not None
    assert (result.samples ^ truth).mean() < 0.02
    assert result.probability is not None
    assert np.allclose(result.samples.mean(0), result.probability, atol=1 / 255)


def test_turned_results_turn_every_sample() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.random((11, 7, 9)) < 0.5
    kept = np.packbits(drawn, axis=0, bitorder="little")
    results = Results(drawn[0].copy(), drawn.sum(0).astype(np.uint8), kept)
    where = rng.random((7, 9)) < 0.4
    results.turn(where, 11)
    again = np.unpackbits(results.kept, axis=0, count=11, bitorder="little").astype(bool)
    assert np.array_equal(again, drawn ^ where)
    assert np.array_equal(results.votes, again.sum(0))
    assert np.array_equal(results.binary, again[0])
    assert not np.unpackbits(results.kept, axis=0, bitorder="little")[11:].any()


def test_small_pictures_have_no_plates(tmp_path: Path) -> None:
    tiny = Picture(np.zeros((20, 30, 1), np.uint8))
    assert find_plates(tiny, strokes(tiny)) is None
