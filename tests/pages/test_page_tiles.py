from __future__ import annotations

import numpy as np
import pytest
import torch

from flowkit.pages.noise import PageNoise
from flowkit.pages.tiles import WINDOW, Span, Tile, evened, spans, tiles


@pytest.mark.parametrize("length", [8, 40, 100, 1000])
@pytest.mark.parametrize("margin", [0, 5, 16])
def test_spans_cover_an_axis_once_and_see_far_enough(length: int, margin: int) -> None:
    for count in range(1, length // 8 + 1):
        cut = spans(length, count=count, margin=margin, step=8)
        assert len(cut) == count
        assert [s.start for s in cut] + [length] == [0] + [s.stop for s in cut]
        for s in cut:
            assert s.start % 8 == s.first % 8 == 0
            assert s.last % 8 == 0 or s.last == length
            assert s.first == 0 or s.start - s.first >= margin
            assert s.last == length or s.last - s.stop >= margin


@pytest.mark.parametrize(("core", "lengths"), [(1, [8] * 5), (20, [16, 8, 16]), (32, [16, 24]), (99, [40])])
def test_cores_keep_to_their_size_and_leave_no_sliver(core: int, lengths: list[int]) -> None:
    assert sorted(t.rows.stop - t.rows.start for t in tiles(40, 8, core=core, margin=0, step=8)) == sorted(
        lengths
    )


@pytest.mark.parametrize("size", [(1000, 1000), (3504, 2480), (400, 30000), (14000, 14000)])
def test_windows_fit_by_default(size: tuple[int, int]) -> None:
    cut = tiles(*size, margin=342, step=32)
    windows = [(t.rows.last - t.rows.first) * (t.cols.last - t.cols.first) for t in cut]
    assert max(windows) <= WINDOW
    assert len(cut) == 1 or sum(windows) < 6 * size[0] * size[1]
    assert (len(cut) == 1) == (size[0] * size[1] <= WINDOW)


def test_a_margin_beyond_all_bounds_still_gives_tiles() -> None:
    assert tiles(4000, 4000, margin=9000, step=32)


def test_tiles_cover_a_page_once() -> None:
    seen = np.zeros((50, 70), int)
    for rows, cols in tiles(50, 70, core=16, margin=3, step=2):
        seen[rows.start : rows.stop, cols.start : cols.stop] += 1
    assert (seen == 1).all()


def test_windows_of_one_page_have_one_size() -> None:
    outer = Tile(Span(0, 500, 0, 500), Span(0, 1300, 0, 1300))
    cut = tiles(500, 1300, core=200, margin=37, step=4)
    found = evened(cut, outer, 4)
    assert len({tuple(span.last - span.first for span in tile) for tile in cut}) > 3
    assert {tuple(span.last - span.first for span in tile) for tile in found} == {(248, 268)}
    for before, after in zip(cut, found, strict=True):
        for one, other, most in zip(before, after, outer, strict=True):
            assert other[:2] == one[:2]
            assert most.first <= other.first <= one.first
            assert one.last <= other.last <= most.last
            assert other.first % 4 == 0
    single = [Tile(Span(8, 20, 4, 24), Span(0, 8, 0, 12))]
    assert evened(single, Tile(Span(8, 20, 4, 24), Span(0, 8, 0, 12)), 4) == single


def test_noise_is_the_same_through_every_window() -> None:
    noise = PageNoise(7)
    whole = noise.window(0, 1, 3, range(300), range(200))
    assert torch.equal(noise.window(0, 1, 3, range(100, 290), range(127, 129)), whole[:, 100:290, 127:129])
    assert torch.equal(PageNoise(7).window(0, 1, 3, range(5, 6), range(5, 6)), whole[:, 5:6, 5:6])


def test_noise_is_standard_normal_and_never_repeats() -> None:
    noise = PageNoise(0)
    windows = [
        noise.window(0, 0, 1, range(256), range(256)),
        noise.window(1, 0, 1, range(256), range(256)),
        noise.window(0, 1, 1, range(256), range(256)),
        noise.window(0, 0, 1, range(256, 512), range(256)),
        PageNoise(1).window(0, 0, 1, range(256), range(256)),
    ]
    values = torch.stack(windows).flatten(1)
    assert values.mean(1).abs().max() < 0.02  # 65,536 values: 5 standard errors
    assert (values.std(1) - 1).abs().max() < 0.02
    assert (torch.corrcoef(values) - torch.eye(5)).abs().max() < 0.02
