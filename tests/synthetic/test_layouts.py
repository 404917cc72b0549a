"""Layouts of drawn pages besides the book."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from flowkit.data.sources.drawn import Drawn
from flowkit.data.tasks import Task
from flowkit.degradations.scan import drawn_pair
from flowkit.errors import DataError
from flowkit.synthetic.layouts import LAYOUTS
from flowkit.synthetic.page import draw_cover, draw_page


def runs(ink: np.ndarray) -> np.ndarray:
    """Lengths of the level runs of ink."""
    padded = np.pad(ink, ((0, 0), (1, 1))).astype(np.int8)
    steps = np.diff(padded, axis=1)
    return np.nonzero(steps == -1)[1] - np.nonzero(steps == 1)[1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_repeats_itself_and_has_ink_and_paper(layout: str) -> None:
    first, again, other = (
        draw_page(330, 270, np.random.default_rng(seed), text_size=20, layout=layout) for seed in (4, 4, 5)
    )
    assert first.shape == (270, 330)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert 0.01 < first.mean() < 0.75


def test_music_and_tables_have_lines_across_the_page() -> None:
    for layout in ("music", "table", "grid"):
        ink = draw_page(400, 400, np.random.default_rng(1), text_size=24, layout=layout)
        # the sheet is bent by a few pixels: a line is followed in a band of nine rows
        assert (ndimage.maximum_filter(ink, (9, 1)).mean(axis=1) > 0.8).any(), layout


def test_posters_mix_large_letters_with_small_ones() -> None:
    ink = draw_page(900, 900, np.random.default_rng(3), text_size=24, layout="poster")
    labels, _ = ndimage.label(ink)
    heights = [box[0].stop - box[0].start for box in ndimage.find_objects(labels)]
    assert np.percentile(heights, 95) > 2 * np.percentile(heights, 25)


def test_letters_on_a_band_are_paper() -> None:
    ink = draw_page(600, 600, np.random.default_rng(2), text_size=24, layout="bands")
    band = ndimage.binary_opening(ndimage.binary_closing(ink, np.ones((13, 13))), np.ones((25, 25)))
    assert band.any()
    inside = ndimage.binary_erosion(band, np.ones((9, 9)))
    assert 0.5 < ink[inside].mean() < 0.99  # mostly ink, with letters in it


def test_cover_is_the_share_of_a_pixel() -> None:
    cover = draw_cover(200, 150, np.random.default_rng(0), text_size=12, layout="print")
    assert cover.dtype == np.uint8
    assert len(np.unique(cover)) > 4
    page = draw_page(200, 150, np.random.default_rng(0), text_size=12, layout="print")
    assert np.array_equal(page, cover >= 128)


def test_a_clean_page_can_be_cut_between_its_two_tones() -> None:
    scan, ink = drawn_pair(
        np.random.default_rng(6), 240, 260, text_size=(14, 14), layouts=("print",), clean=1.0
    )
    grey = scan.mean(2)
    middle = (grey[ink].mean() + grey[~ink].mean()) / 2
    assert ((grey < middle) == ink).mean() > 0.95


def test_text_sizes_are_drawn_from_their_range() -> None:
    sizes = []
    for seed in range(6):
        scan, ink = drawn_pair(
            np.random.default_rng(seed), 200, 200, [], text_size=(60, 90), layouts=("print",)
        )
        assert scan.shape == (200, 200, 3)
        sizes.append(np.median(runs(ink)) if ink.any() else np.nan)
    assert np.nanmedian(sizes) > 4  # strokes of letters of 60 pixels and more


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layouts": ("bookk",)}, 'unknown layout "bookk"; did you mean "book"'),
        ({"layouts": ()}, '"layouts" of source "drawn": is empty'),
        (
            {"text_size": (0.0, 5.0)},
            '"text_size" of source "drawn" must be [low, high] above 0, got [0.0, 5.0]',
        ),
        ({"text_size": (9.0, 5.0)}, "got [9.0, 5.0]"),
        ({"clean": 1.5}, '"clean" of source "drawn" must be within 0 to 1, got 1.5'),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError) as error:
        Drawn(Task(1, True, 3, 1), Path(), **options)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_an_unknown_layout_is_named() -> None:
    with pytest.raises(DataError, match='unknown layout "tabel"; did you mean "table"'):
        draw_page(50, 50, np.random.default_rng(0), layout="tabel")
