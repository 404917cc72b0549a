"""Writing that a binarization lacks: what is as dark as the ink comes back, what is paler does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from flowkit.degradations.texture import blur
from flowkit.images.picture import Picture
from flowkit.pages import Page, paper
from flowkit.pages.cleaning import DIVIDED, REGAINED, cleaned
from flowkit.pages.decision import check_sampling
from flowkit.pages.lost_writing import lost_writing, measure_darkness
from flowkit.pages.safety_net import look
from flowkit.pages.strokes import strokes
from flowkit.synthetic.page import draw_page

H, W = 700, 611
INK = draw_page(W, H, np.random.default_rng(2))
LEFT = np.arange(W) < W // 2
HALF = INK & LEFT  # what the model found


def scan(cover: np.ndarray, dark: float = 0.7) -> Picture:
    """A page that is lit from the left, with so dark an ink."""
    light = 0.95 - 0.4 * np.arange(W) / W
    grey = light * (1 - dark * blur(cover.astype(np.float32), 0.6))
    return Picture(np.rint(255 * grey).astype(np.uint8)[..., None])


def found(picture: Picture, ink: np.ndarray = HALF) -> np.ndarray:
    dark = measure_darkness(picture, ink)
    return lost_writing(dark, ink, ndimage.binary_dilation(ink, iterations=2))


def test_what_is_as_dark_as_the_ink_is_found() -> None:
    lost = found(scan(INK))
    assert (lost & INK & ~LEFT).sum() > 0.9 * (INK & ~LEFT).sum()
    assert (lost & ~INK).sum() < 0.2 * lost.sum()  # soft edges
    assert not lost[HALF].any()


@pytest.mark.parametrize("dark", [0.2, 0.35])
def test_what_shines_through_is_not(dark: float) -> None:
    pale = np.where(LEFT, 0.7, dark) * INK
    assert not found(scan(pale / 0.7)).any()


def test_stains_shadows_and_specks_are_not() -> None:
    y, x = np.mgrid[:H, :W]
    stain = np.hypot(y - 350, x - 450) < 90
    specks = np.zeros((H, W), bool)
    specks[40::150, 340::90] = specks[41::150, 340::90] = True
    assert not found(scan(np.where(stain, 0.9, HALF | specks))).any()
    noisy = scan(HALF)
    noisy.pixels[:, -60:] = np.random.default_rng(0).integers(0, 12, (H, 60, 1))  # a scanner's lid
    assert not found(noisy).any()


def test_larger_pages_and_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    large = scan(INK).pixels.repeat(2, 0).repeat(2, 1)
    twice = HALF.repeat(2, 0).repeat(2, 1)
    lost = found(Picture(large), twice)
    assert (lost & ~twice).sum() > 0.9 * (INK & ~LEFT).sum() * 4
    whole = found(scan(INK))
    monkeypatch.setattr(paper, "BAND", 50)
    assert (found(scan(INK)) ^ whole).sum() < 0.005 * whole.sum()


def test_clean_pages_have_it_with_a_note() -> None:
    ink = INK.copy()
    ink[400:424, W // 4 :] = False  # a line, which is no picture
    picture = scan(INK)
    second = look(strokes(picture), ink)
    page = Page(ink, check_sampling(), notes=("a note", *second.notes), wrong=second.wrong)
    made, whole = cleaned(picture, page), cleaned(picture, Page(INK, check_sampling()))
    assert made.pictures is None
    assert np.abs(made.image.astype(float) - whole.image)[INK & ~ink].mean() < 25
    assert np.array_equal(made.page.binary, ink)  # the ink stays the model's
    share = 100 * (INK & ~ink).sum() / INK.sum()
    assert made.notes[0] == "a note"
    assert len(made.notes) == 2
    number, _, text = made.notes[1].partition(" % ")
    assert text == REGAINED
    assert int(number) == pytest.approx(share, abs=2)


def test_without_pictures_there_is_nothing_of_them() -> None:
    dots = (np.indices((160, 160)) // 3 % 2).sum(0) == 2
    values = scan(HALF)
    values.pixels[200:360, 380:540, 0][dots] = 40
    made = cleaned(values, Page(HALF, check_sampling()))
    assert made.pictures is not None
    assert made.pictures[210:350, 390:530].all()
    assert (
        cleaned(values, Page(HALF, check_sampling()), pictures=False).image[210:350, 390:530] == 255
    ).all()


def test_faded_writing_becomes_black() -> None:
    faded = INK * np.where(LEFT, 0.7, 0.35) / 0.7
    image = cleaned(scan(faded), Page(INK, check_sampling())).image
    core = ndimage.binary_erosion(INK)
    for half in (LEFT, np.roll(~LEFT, 20)):
        assert np.median(image[core & half]) < 45


def test_faint_parts_of_strokes_are_kept_and_what_shines_through_is_not() -> None:
    known = INK & (np.arange(H) % 8 > 1)[:, None]  # two rows of eight are missing in every letter
    through = np.roll(INK, 11, 0) & ~ndimage.binary_dilation(INK, iterations=6)
    cover = np.where(known, 1, np.where(INK, 0.6, np.where(through, 0.3, 0)))
    made = cleaned(scan(cover), Page(known, check_sampling()))
    assert made.notes == ()
    assert np.median(made.image[INK & ~known]) < 130
    far = through & ~ndimage.binary_dilation(INK, iterations=8)
    assert far.sum() > 1000
    assert (made.image[far] == 255).all()


def test_a_page_that_the_model_did_not_understand_loses_nothing() -> None:
    cover = INK * np.where(LEFT, 1, np.linspace(1, 0.3, W))
    known = INK & (np.arange(H) // 25 % 4 > 0)[:, None]
    made = cleaned(scan(cover), Page(known, check_sampling()))
    assert [note.partition(" % ")[2] for note in made.notes] == [DIVIDED]
    assert np.quantile(made.image[INK], 0.99) < 235
    assert np.quantile(made.image[~ndimage.binary_dilation(INK, iterations=6)], 0.01) > 235
