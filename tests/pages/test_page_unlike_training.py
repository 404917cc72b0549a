"""Notes on pages that models which enlarge have never seen the like of."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from flowkit import build
from flowkit.cli import main
from flowkit.images.picture import Picture
from flowkit.pages import upscale
from flowkit.pages.unlike_training import CLEAN, WORN, trained_on, unlike_training
from flowkit.synthetic.page import draw_page


@pytest.fixture(scope="module")
def page() -> np.ndarray:
    """A drawn page, reduced by two: dark print on even paper."""
    ink = draw_page(640, 480, np.random.default_rng(4))
    return np.where(ink, 40.0, 220.0).reshape(240, 2, 320, 2).mean((1, 3))


def picture(values: np.ndarray) -> Picture:
    return Picture(values.clip(0, 255).round().astype(np.uint8)[..., None])


def test_pages_like_those_of_training_have_no_note(page):
    noise = np.random.default_rng(0).normal(size=page.shape)
    worn = picture(ndimage.gaussian_filter(page, 0.7) + 8 * noise)
    assert unlike_training(worn, WORN) == ()
    assert len(unlike_training(worn, CLEAN)) == 1
    for trained in (CLEAN, WORN):
        assert unlike_training(picture(page), trained) == ()
        assert unlike_training(picture(np.full((300, 200), 230.0)), trained) == ()
        assert unlike_training(picture(np.full((1, 1), 30.0)), trained) == ()


def test_soft_and_noisy_pages_are_told_apart(page):
    noise = np.random.default_rng(0).normal(size=page.shape)
    [soft] = unlike_training(picture(ndimage.gaussian_filter(page, 2.5)), WORN)
    assert soft.startswith("it is softer (sharpness 0.")
    assert f"({WORN.softest:g} or more)" in soft
    [noisy] = unlike_training(picture(page + 18 * noise), WORN)
    assert noisy.startswith("its noise, 18 grey levels")


def test_enlarged_pages_carry_the_note(page, doubling_checkpoint, capsys, tmp_path):
    soft = picture(ndimage.gaussian_filter(page, 2.5))
    [note] = upscale(soft.pixels[..., 0], model=doubling_checkpoint).notes
    assert note == unlike_training(soft, CLEAN)[0]
    Image.fromarray(soft.pixels[..., 0]).save(tmp_path / "soft.png")
    out = str(tmp_path / "large.png")
    assert main(["upscale", str(tmp_path / "soft.png"), "-o", out, "--model", str(doubling_checkpoint)]) == 0
    assert note in capsys.readouterr().err


def test_the_recipe_says_what_was_trained_on():
    assert trained_on(build("super-resolve-x4")) == WORN
    assert trained_on(build("super-resolve-x4", overrides=["train.degrade=[]"])) == CLEAN
