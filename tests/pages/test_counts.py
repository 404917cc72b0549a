"""What is counted in the samples of a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from flowkit.errors import OutputError
from flowkit.flow import ConditionalFlow
from flowkit.metrics.calibration import Interval
from flowkit.pages import Component, Page, Spread, binarize, stroke_width
from flowkit.pages.counts import components, interval
from flowkit.pages.decision import Sampling


def page_of(samples: np.ndarray) -> Page:
    """A page that was drawn like this, (N, H, W)."""
    count = len(samples)
    votes = samples.sum(0).astype(np.uint8)
    kept = np.packbits(samples, axis=0, bitorder="little")
    return Page(2 * votes >= count, Sampling(0.5, 1.0, count, 0), votes, kept)


def ink(*rows: str) -> np.ndarray:
    return np.array([list(row) for row in rows]) == "#"


def test_what_people_count() -> None:
    samples = np.stack([ink("##..#", "##..."), ink("##...", "##..."), ink("##.#.", "###..")])
    found = page_of(samples).counts
    assert found.ink == Spread(0.5, (0.4, 0.6), None, None, 0.4, 0.6)
    assert found.components == Spread(1, (1, 2), None, None, 1, 2)
    widths = [stroke_width(sample) for sample in samples]
    assert (found.stroke_width.least, found.stroke_width.greatest) == (min(widths), max(widths))


def test_intervals_are_those_of_order_statistics() -> None:
    values = np.random.default_rng(0).permutation(39).tolist()
    ordered = sorted(values)
    for share, k in ((0.95, 1), (0.8, 4), (0.5, 10)):
        assert Interval(39, k).nominal == pytest.approx(share)
        assert interval(values, share) == (ordered[k - 1], ordered[-k])
    assert interval(values[:38], 0.95) is None
    assert interval(values[:9], 0.8) == (min(values[:9]), max(values[:9]))
    low, high = interval(range(16), 0.8)
    assert (low, high) == pytest.approx((0.7, 14.3))  # the 1.7th of each end


def test_one_more_value_is_in_there_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(1).standard_normal((4000, 17))
    held = [low <= truth <= high for *values, truth in drawn for low, high in [interval(values, 0.8)]]
    assert np.mean(held) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("width", [3, 6, 15])
@pytest.mark.parametrize("upright", [True, False])
def test_strokes_of_known_width(width: int, upright: bool) -> None:
    page = np.zeros((700, 700), bool)
    for i in range(10):
        page[20:680, 20 + 60 * i : 20 + 60 * i + width] = True
    assert stroke_width(page if upright else page.T) == pytest.approx(width, rel=0.06)


def test_strokes_of_any_direction_and_none() -> None:
    y, x = np.mgrid[:600, :600]
    rings = np.hypot(y - 300, x - 300) % 40 < 8
    assert stroke_width(rings) == pytest.approx(8, rel=0.06)
    assert stroke_width(np.zeros((5, 5), bool)) == 0
    assert stroke_width(ndimage.binary_dilation(rings)) > stroke_width(rings) + 1


def test_components_have_the_share_of_samples_with_half_of_them() -> None:
    samples = np.stack(
        [
            ink("##....#", "##.....", ".....#."),
            ink("##.....", "#......", "......."),
            ink("##....#", ".......", "......."),
            ink("#......", ".......", ".....#."),
        ]
    )
    assert page_of(samples).components == [
        Component((0, 0, 2, 2), 4, 0.75),
        Component((6, 0, 7, 1), 1, 0.5),
        Component((5, 2, 6, 3), 1, 0.5),
    ]
    assert components(np.zeros((4, 4), bool), [np.zeros((4, 4), bool)]) == []


@pytest.mark.parametrize("seed", range(10))
def test_components_are_those_of_the_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.random((5, 11, 13)) < 0.12
    labels, count = ndimage.label(samples.any(0), np.ones((3, 3)))
    expected = []
    for number, (rows, cols) in enumerate(ndimage.find_objects(labels), 1):
        inside = labels == number
        share = np.mean([2 * (sample & inside).sum() >= inside.sum() for sample in samples])
        expected.append(((cols.start, rows.start, cols.stop, rows.stop), inside.sum(), share))
    found = [(one.box, one.area, one.probability) for one in components(samples.any(0), samples)]
    assert len(found) == count
    assert sorted(found) == sorted(expected)
    assert [(box[1], box[0]) for box, *_ in found] == sorted((box[1], box[0]) for box, *_ in found)


def test_pages_that_were_drawn(grey_flow: ConditionalFlow, tmp_path: Path) -> None:
    scan = np.random.default_rng(3).integers(0, 256, (30, 41), dtype=np.uint8)
    page = binarize(scan, model=grey_flow, samples=5, keep_samples=True, scale=1)
    amounts = [sample.mean() for sample in page.samples]
    assert (page.counts.ink.least, page.counts.ink.greatest) == (min(amounts), max(amounts))
    page.save_components(tmp_path / "c.json")
    said = json.loads((tmp_path / "c.json").read_text())
    assert {key: said[key] for key in said if key != "components"} == {
        "version": 1, "width": 41, "height": 30, "samples": 5,
    }  # fmt: skip
    assert [Component(tuple(c.pop("box")), **c) for c in said["components"]] == page.components
    assert sum(one.area for one in page.components) == np.count_nonzero(page.votes)
    with pytest.raises(OutputError, match="cannot be written"):
        page.save_components(tmp_path / "none" / "c.json")


def test_samples_must_have_been_kept(grey_flow: ConditionalFlow) -> None:
    scan = np.zeros((20, 20), np.uint8)
    for options in ({}, {"samples": 3}, {"temperature": 1.0, "keep_samples": True}):
        page = binarize(scan, model=grey_flow, scale=1, **options)
        assert page.counts is None
    with pytest.raises(ValueError, match="were not kept"):
        _ = binarize(scan, model=grey_flow, scale=1, samples=3).components
