"""Features of windows: what the encoder would make of the whole page, cut out."""

from __future__ import annotations

import pytest
import torch

from flowkit.encoders import UNet
from flowkit.pages.page_features import StreamedFeatures, WindowFeatures
from flowkit.pages.tiles import Span, tiles

SIZE = (156, 90)


@pytest.fixture(scope="module")
def page() -> torch.Tensor:
    return torch.rand(1, 3, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def net() -> UNet:
    torch.manual_seed(1)
    net = UNet(widths=(3, 4)).double()
    net.provide(2)
    return net.eval()


@pytest.mark.parametrize("kind", [StreamedFeatures, WindowFeatures])
def test_windows_are_cut_from_the_whole_page(kind, net, page):
    def window(rows: Span, cols: Span) -> torch.Tensor:
        return page[:, :, rows.first : rows.last, cols.first : cols.last]

    if kind is StreamedFeatures:
        features, cut = kind(net, *SIZE, window), tiles(*SIZE, core=32, margin=6, step=2)
    else:
        features, cut = kind(net, window), tiles(*SIZE, core=32, margin=net.reach, step=net.grid)
    with torch.no_grad():
        whole = net(page)[2]
        for tile in [*cut, cut[0], cut[-1]]:  # and from the top again
            found = features.of(tile)[2]
            inner = [slice((s.start - s.first) // 2, (s.stop - s.first) // 2) for s in tile]
            rows, cols = (slice(s.start // 2, s.stop // 2) for s in tile)
            torch.testing.assert_close(found[:, :, *inner], whole[:, :, rows, cols], rtol=1e-12, atol=1e-12)


def test_a_stream_keeps_no_more_rows_than_are_planned_for(net, page, monkeypatch):
    monkeypatch.setattr("flowkit.encoders.streaming.BAND", 8)

    def window(rows: Span, cols: Span) -> torch.Tensor:
        return page[:, :, rows.first : rows.last, cols.first : cols.last]

    features, cut = StreamedFeatures(net, *SIZE, window), tiles(*SIZE, core=32, margin=6, step=2)
    held = []
    advance = features._advance

    def watched() -> None:
        advance()
        held.append(2 * sum(block.shape[2] for block in features.blocks[2]))

    monkeypatch.setattr(features, "_advance", watched)
    highest = max(tile.rows.last - tile.rows.first for tile in cut)
    with torch.no_grad():
        for tile in cut:
            features.of(tile)
    *before, end = held
    assert max(before) <= highest + 2 * 8
    assert end <= highest + 2 * 8 + net.reach
