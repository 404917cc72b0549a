"""Notes on strokes that a result lacks."""

from __future__ import annotations

import numpy as np
import pytest

from flowkit.images.picture import Picture
from flowkit.pages import Page
from flowkit.pages.decision import Sampling
from flowkit.pages.safety_net import look, lost_strokes
from flowkit.pages.strokes import CELL, strokes
from flowkit.synthetic.page import draw_page


@pytest.fixture(scope="module")
def written() -> tuple[Picture, np.ndarray]:
    """A drawn page of even ink, and its truth."""
    ink = draw_page(640, 480, np.random.default_rng(8), text_size=26, layout="print")
    grey = np.where(ink, 50, 225) + np.random.default_rng(0).normal(0, 5, ink.shape)
    return Picture(np.clip(grey, 0, 255).astype(np.uint8)[..., None]), ink


def test_a_right_result_has_no_note(written: tuple[Picture, np.ndarray]) -> None:
    picture, ink = written
    found = strokes(picture)
    assert look(found, ink).notes == ()
    assert lost_strokes(found, ink).sum() == 0


def test_a_lost_region_is_named(written: tuple[Picture, np.ndarray]) -> None:
    picture, ink = written
    result = ink.copy()
    result[200:330, 100:420] = False
    [note] = look(strokes(picture), result).notes
    left, top, right, bottom = (int(n) for n in note.split("within (")[1].split(")")[0].split(", "))
    assert 100 - 4 * CELL <= left < right <= 420 + 4 * CELL
    assert 200 - 4 * CELL <= top < bottom <= 330 + 4 * CELL
    share = float(note.split(" %")[0]) / 100
    assert share == pytest.approx(1 - result.sum() / ink.sum(), abs=0.06)


def test_a_blank_result_and_one_inside_out_are_named(written: tuple[Picture, np.ndarray]) -> None:
    picture, ink = written
    found = strokes(picture)
    [blank] = look(found, np.zeros_like(ink)).notes
    assert blank.startswith("100 % of the dark strokes")
    [full] = look(found, np.ones_like(ink)).notes
    assert full.startswith("100 % of the result is ink")


def test_blank_paper_and_black_borders_have_no_note() -> None:
    rng = np.random.default_rng(4)
    paper = np.clip(rng.normal(210, 6, (500, 400)), 0, 255).astype(np.uint8)
    assert look(strokes(Picture(paper[..., None])), np.zeros((500, 400), bool)).notes == ()
    paper[:, :90] = 20
    assert look(strokes(Picture(paper[..., None])), np.zeros((500, 400), bool)).notes == ()


@pytest.mark.parametrize("samples", [None, 4])
def test_lost_strokes_count_as_wrong_in_the_review(
    written: tuple[Picture, np.ndarray], samples: int | None
) -> None:
    picture, ink = written
    result = ink.copy()
    result[256:512, :256] = False
    found = look(strokes(picture), result)
    assert found.wrong is not None
    votes = None if samples is None else (samples * result).astype(np.uint8)
    sampling = Sampling(None, 1.0, samples or 0, 0)
    page = Page(result, sampling, votes, wrong=found.wrong)
    assert page.review is not None
    assert page.review.score == pytest.approx(found.wrong.sum() / (2 * result.sum() + found.wrong.sum()))
    assert next(page.review.worst()).rows.start == 256
    assert found.wrong.sum() == pytest.approx((ink & ~result).sum(), rel=0.3)
    assert Page(result, Sampling(None, 1.0, 0, 0)).review is None


def test_all_of_a_result_that_is_mostly_ink_is_wrong() -> None:
    picture = Picture(np.full((203, 301, 1), 200, np.uint8))
    ink = np.ones((203, 301), bool)
    ink[:80, :100] = False
    found = look(strokes(picture), ink)
    assert found.wrong is not None
    assert found.wrong.sum() == ink.sum()
    assert Page(ink, Sampling(None, 1.0, 0, 0), wrong=found.wrong).review.score == pytest.approx(1 / 3)
