from __future__ import annotations

import doctest

import numpy as np
import pytest
from PIL import Image, ImageDraw

from flowkit.errors import DataError
from flowkit.synthetic import page, phrases
from flowkit.synthetic.handwriting import Hand
from flowkit.synthetic.page import draw_page


def test_the_docstring_examples_hold() -> None:
    for module in (page, phrases):
        outcome = doctest.testmod(module, extraglobs={"np": np})
        assert outcome.attempted > 0
        assert outcome.failed == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3), (17, 90), (64, 64), (1000, 40)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    for seed in range(3):
        page = draw_page(*size, np.random.default_rng(seed))
        assert page.shape == size[::-1]
        assert page.dtype == np.bool_


def test_a_page_has_the_ink_of_a_page() -> None:
    for seed in range(6):
        page = draw_page(450, 600, np.random.default_rng(seed))
        assert 0.03 < page.mean() < 0.25
        # paper at both sides, and lines of text with paper between them
        assert page[:, :12].sum() + page[:, -6:].sum() == 0
        rows = page.mean(axis=1)
        assert (rows > 0.05).sum() > 100
        assert (rows < 0.02).sum() > 50


def test_a_small_page_is_cut_where_there_is_text() -> None:
    shares = [draw_page(96, 96, np.random.default_rng(seed)).mean() for seed in range(12)]
    assert min(shares) > 0.02


def test_the_same_seed_gives_the_same_page_and_another_one_another() -> None:
    first, again, other = (draw_page(300, 300, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert (first != other).mean() > 0.02


def test_text_size_sets_the_thickness_of_strokes() -> None:
    def edges_per_ink(size: float) -> float:
        page = draw_page(600, 600, np.random.default_rng(1), text_size=size)
        return float((page[:, 1:] != page[:, :-1]).sum() / page.sum())

    # twice the size: about half the boundary for the same area
    assert 1.5 < edges_per_ink(16) / edges_per_ink(32) < 2.6


def test_long_s_ends_no_word() -> None:
    assert phrases.with_long_s("masses") == "ma\u017f\u017fes"
    assert phrases.with_long_s("flows;") == "flows;"


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5)])
def test_an_empty_page_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=rf"found a page of {size[0]} x {size[1]} pixels, expected"):
        draw_page(*size, np.random.default_rng(0))


@pytest.mark.parametrize("size", [0.0, -3.0, float("nan"), float("inf")])
def test_a_text_size_that_is_no_size_is_refused(size: float) -> None:
    with pytest.raises(DataError, match="text_size"):
        draw_page(50, 50, np.random.default_rng(0), text_size=size)


def test_a_hand_joins_its_letters_and_keeps_to_its_length() -> None:
    canvas = Image.new("L", (400, 120))
    hand = Hand(60, np.random.default_rng(0))
    hand.write(ImageDraw.Draw(canvas), 20, 80, "nine")
    left, _, right, bottom = canvas.getbbox() or (0, 0, 0, 0)
    # the slant and the pen reach a little past the last letter
    assert abs(left - 20) < 12
    assert hand.length("nine") - 12 < right - 20 < hand.length("nine") + 30
    assert 76 < bottom < 90
    # joined: no column without ink between the letters
    assert np.asarray(canvas).max(axis=0)[left:right].min() == 255


def test_a_hand_knows_every_character_of_the_text() -> None:
    rng = np.random.default_rng(0)
    text = "".join(phrases.sentence(rng) + phrases.title(rng) + phrases.subtitle(rng) for _ in range(300))
    hand = Hand(40, rng)
    for character in sorted(set(text) - {" "}):
        canvas = Image.new("L", (120, 120))
        hand.write(ImageDraw.Draw(canvas), 30, 70, character)
        assert canvas.getbbox() is not None, character


def test_a_larger_hand_runs_farther() -> None:
    hand = Hand(40, np.random.default_rng(0))
    assert hand.scaled(2).length("ferry") == pytest.approx(2 * hand.length("ferry"))
