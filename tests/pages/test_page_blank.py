"""What a page has nothing on is not computed, and its ink is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowkit import ConditionalFlow, load
from flowkit.images.picture import Picture
from flowkit.pages import binarize, read
from flowkit.pages.blank import SIDE, written
from flowkit.pages.decision import check_sampling
from flowkit.pages.ink import draw_samples
from flowkit.pages.islands import islands
from flowkit.pages.results import Results
from flowkit.pages.sampler import PageSampler
from flowkit.synthetic.page import draw_page


def paper(height: int, width: int) -> np.ndarray:
    """Light paper with the noise of a scanner, and light that falls off."""
    noise = np.random.default_rng(0).normal(0, 1.5, (height, width))
    return np.clip(np.linspace(235, 205, width) + noise, 0, 255).astype(np.uint8)


def test_strokes_are_contrast_and_paper_is_not() -> None:
    page = paper(330, 270)
    assert not written(Picture(page[..., None])).any()
    page[100:140, 50:54] -= 40  # a faint stroke
    found = written(Picture(page[..., None]))
    assert found.shape == (11, 9)
    assert found[3:5, 1].all()
    assert not found[6:].any()
    assert not found[:, 4:].any()


@pytest.mark.parametrize("depth", [10, 25])
@pytest.mark.parametrize("em", [16, 40])
def test_faint_print_beside_black_print_is_no_paper(depth: int, em: int) -> None:
    page = paper(640, 480)
    page[:200, :][draw_page(480, 200, np.random.default_rng(3), text_size=36)] -= 180
    faint = draw_page(480, 300, np.random.default_rng(5), text_size=em, layout="print")
    page[340:][faint] -= np.uint8(depth)
    cells = written(Picture(page[..., None])).repeat(SIDE, 0).repeat(SIDE, 1)[340:640, :480]
    assert cells[faint].all()


def test_what_is_dark_is_not_blank() -> None:
    page = np.full((320, 320), 220, np.uint8)
    page[:, 96:] = 30
    assert written(Picture(page[..., None]))[:, 2:].all()


@pytest.mark.parametrize("seed", range(8))
def test_parts_are_disjoint_and_hold_all_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.random((40, 30)) < 0.03 * seed / 4
    size = 40 * SIDE - 20, 30 * SIDE
    parts = islands(cells, SIDE, size, step=32)
    held = np.zeros(size, np.uint8)
    for rows, cols in parts:
        held[rows.start : rows.stop, cols.start : cols.stop] += 1
        for span, length in ((rows, size[0]), (cols, size[1])):
            assert 0 <= span.first <= span.start < span.stop <= span.last <= length
            assert span.first % 32 == span.start % 32 == 0
            assert span.start - span.first >= 64 or span.first == 0
    assert held.max(initial=0) <= 1
    assert held[cells.repeat(SIDE, 0).repeat(SIDE, 1)[: size[0], : size[1]]].all()
    assert bool(parts) == cells.any()


def test_a_blank_page_costs_its_reading(grey_flow: ConditionalFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PageSampler, "draw", None)
    page = binarize(paper(700, 500), model=grey_flow, samples=4, keep_samples=True)
    assert not page.binary.any()
    assert page.samples is not None
    assert not page.samples.any()
    assert page.mean_entropy == 0


def drawn(model: ConditionalFlow, picture: Picture, where: np.ndarray | None) -> tuple[np.ndarray, int]:
    sampler, sampling = PageSampler(model, picture, seed=0, where=where), check_sampling()
    results = Results.blank(sampler.size, sampling, keep=False)
    draw_samples(sampler, sampling, results, lambda: None)
    return results.binary, sum((r.last - r.first) * (c.last - c.first) for r, c in sampler.parts)


@pytest.mark.slow
def test_the_ink_is_the_same_where_half_of_a_page_is_blank() -> None:
    model, page = load("binarize"), paper(640, 900)
    ink = draw_page(420, 220, np.random.default_rng(3))
    page[60:280, 400:820][ink] -= 150
    picture = Picture(page[..., None])
    cells = written(picture)
    whole, _ = drawn(model, picture, None)
    some, area = drawn(model, picture, cells)
    assert area < 0.6 * page.size
    assert np.mean(whole != some) < 2e-5
    assert not whole[~cells.repeat(SIDE, 0).repeat(SIDE, 1)[:640, :900]].any()


@pytest.mark.slow
def test_no_ink_of_real_pages_is_skipped(data: Path) -> None:
    model = load("binarize")
    pages = sorted(
        path for year in ("2009", "2010", "2012") for path in (data / "dibco" / year).glob("img/*")
    )
    for index in np.random.default_rng(7).choice(len(pages), 2, replace=False):
        picture = read(pages[index])
        picture = Picture(picture.pixels[:700, :700])
        cells = written(picture).repeat(SIDE, 0).repeat(SIDE, 1)
        found, _ = drawn(model, picture, None)
        assert found.any()
        assert not found[~cells[: found.shape[0], : found.shape[1]]].any(), pages[index]
