"""Notes on strokes that a result lacks."""

from __future__ import annotations

import numpy as np
import pytest

from flowkit.images.picture import Picture
from flowkit.pages.safety_net import lost_strokes, notes
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
    assert notes(found, ink) == ()
    assert lost_strokes(found, ink).sum() == 0


def test_a_lost_region_is_named(written: tuple[Picture, np.ndarray]) -> None:
    picture, ink = written
    result = ink.copy()
    result[200:330, 100:420] = False
    [note] = notes(strokes(picture), result)
    left, top, right, bottom = (int(n) for n in note.split("within (")[1].split(")")[0].split(", "))
    assert 100 - 4 * CELL <= left < right <= 420 + 4 * CELL
    assert 200 - 4 * CELL <= top < bottom <= 330 + 4 * CELL
    share = float(note.split(" %")[0]) / 100
    assert share == pytest.approx(1 - result.sum() / ink.sum(), abs=0.06)


def test_a_blank_result_and_one_inside_out_are_named(written: tuple[Picture, np.ndarray]) -> None:
    picture, ink = written
    found = strokes(picture)
    [blank] = notes(found, np.zeros_like(ink))
    assert blank.startswith("100 % of the dark strokes")
    [full] = notes(found, np.ones_like(ink))
    assert full.startswith("100 % of the result is ink")


def test_blank_paper_and_black_borders_have_no_note() -> None:
    rng = np.random.default_rng(4)
    paper = np.clip(rng.normal(210, 6, (500, 400)), 0, 255).astype(np.uint8)
    assert notes(strokes(Picture(paper[..., None])), np.zeros((500, 400), bool)) == ()
    paper[:, :90] = 20
    assert notes(strokes(Picture(paper[..., None])), np.zeros((500, 400), bool)) == ()
