from __future__ import annotations

import numpy as np
import pytest
import torch

from flowkit.pages.noise import PageNoise
from flowkit.pages.tiles import spans, tiles


@pytest.mark.parametrize("length", [8, 40, 96, 104, 1000])
@pytest.mark.parametrize("core", [1, 8, 30, 64, 5000])
@pytest.mark.parametrize("margin", [0, 5, 16])
def test_spans_cover_an_axis_once_and_see_far_enough(length: int, core: int, margin: int) -> None:
    cut = spans(length, core=core, margin=margin, step=8)
    assert [s.start for s in cut] + [length] == [0] + [s.stop for s in cut]
    for s in cut:
        assert s.stop - s.start <= max(core, 8)
        assert s.start % 8 == s.first % 8 == 0
        assert s.last % 8 == 0 or s.last == length
        assert s.first == 0 or s.start - s.first >= margin
        assert s.last == length or s.last - s.stop >= margin


def test_spans_leave_no_sliver() -> None:
    lengths = [s.stop - s.start for s in spans(1032, core=1024, margin=0, step=8)]
    assert lengths == [512, 520]


def test_tiles_cover_a_page_once() -> None:
    seen = np.zeros((50, 70), int)
    for rows, cols in tiles(50, 70, core=16, margin=3, step=2):
        seen[rows.start : rows.stop, cols.start : cols.stop] += 1
    assert (seen == 1).all()


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
