"""Features of windows: what the encoder would make of the whole page, cut out."""

from __future__ import annotations

import pytest
import torch

from flowkit.encoders import Encoder, UNet
from flowkit.pages.features import StreamedFeatures, WindowFeatures, page_features
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


def made(kind, net: Encoder, page: torch.Tensor):
    def window(rows: Span, cols: Span) -> torch.Tensor:
        return page[:, :, rows.first : rows.last, cols.first : cols.last]

    return kind(net, *SIZE, window)


@pytest.mark.parametrize("kind", [StreamedFeatures, WindowFeatures])
def test_windows_are_cut_from_the_whole_page(kind, net, page):
    with torch.no_grad():
        whole = net(page)[2]
        features = made(kind, net, page)
        cut = tiles(*SIZE, core=32, margin=6, step=2)
        for tile in [*cut, cut[0], cut[-1]]:  # and from the top again
            rows, cols = (slice(span.first // 2, span.last // 2) for span in tile)
            torch.testing.assert_close(features.of(tile)[2], whole[:, :, rows, cols], rtol=1e-12, atol=1e-12)


def test_a_stream_is_taken_where_there_is_one(net, page):
    assert isinstance(made(page_features, net, page), StreamedFeatures)
