"""RRDBs in bands of rows, without gradients: the features are those of the whole image."""

from __future__ import annotations

import pytest
import torch

from flowkit.encoders import RRDB, dense_block
from flowkit.layers.features import dense

NETS = {
    "image": ({"scale": 4, "enlarged": True}, (8, 4, 2, 1)),
    "stacked": ({"scale": 2, "stack": (1, 0), "long_skip": "trunk"}, (8, 2, 1)),
    "last stacked": ({"scale": 2, "stack": (2,)}, (4, 2)),
    "unshuffled": ({"scale": 1, "in_channels": 3}, (2, 4)),
}


def make(name: str) -> RRDB:
    options, strides = NETS[name]
    torch.manual_seed(5)
    net = RRDB(**{"in_channels": 1, "features": 5, "growth": 3, "blocks": 3, "stack": [], **options})
    for stride in strides:
        net.provide(stride)
    net.double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.3)
    return net


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("shape", [(2, 4, 12), (1, 52, 20), (1, 12, 8)])
@pytest.mark.parametrize("band", [1, 12, 1000])
def test_bands_give_the_features_of_the_whole_image(
    name: str, shape: tuple[int, int, int], band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = make(name)
    images, height, width = shape
    image = torch.rand(images, net.in_channels, height, width, dtype=torch.float64)
    whole = net(image)
    monkeypatch.setattr(dense_block, "AT_ONCE", band)
    with torch.no_grad():
        rows = net(image)
    assert rows.keys() == whole.keys()
    for stride, features in whole.items():
        torch.testing.assert_close(rows[stride], features, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("band", [4, 12, 1000])
def test_a_stream_gives_the_features_of_the_whole_image(name: str, band: int) -> None:
    net = make(name)
    image = torch.rand(2, net.in_channels, 52, 20, dtype=torch.float64)
    stream = net.stream()
    assert stream is not None
    maps: dict[int, list[torch.Tensor]] = {}
    with torch.no_grad():
        whole = net(image)
        for top in range(0, 52, band):
            ready = stream.push(image[:, :, top : top + band], last=top + band >= 52)
            for stride, pieces in ready.items():
                maps.setdefault(stride, []).extend(pieces)
        streamed = {stride: torch.cat(pieces, dim=2) for stride, pieces in maps.items()}
        found = net.complete(streamed, lambda: image)
    assert streamed.keys() == {net.stride}
    assert found.keys() == whole.keys()
    for stride, features in whole.items():
        torch.testing.assert_close(dense(found[stride]), features, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", NETS)
def test_what_is_completed_in_a_window_is_that_of_the_image_but_for_the_tail(name: str) -> None:
    net = make(name)
    image = torch.rand(1, net.in_channels, 48, 40, dtype=torch.float64)
    stream = net.stream()
    assert stream is not None
    first, last = 8, 32
    with torch.no_grad():
        whole = net(image)
        streamed = {stride: torch.cat(rows, dim=2) for stride, rows in stream.push(image, last=True).items()}
        cells = slice(first * net.scale // net.stride, last * net.scale // net.stride)
        found = net.complete(
            {stride: maps[:, :, cells, cells] for stride, maps in streamed.items()},
            lambda: image[:, :, first:last, first:last],
        )
    assert net.tail == {"image": 2, "stacked": 1, "last stacked": 0, "unshuffled": 0}[name]
    for stride, features in whole.items():
        per = net.scale / stride
        inner = [
            slice(int((at + net.tail) * per), int((at + last - first - net.tail) * per)) for at in (0, first)
        ]
        expected = features[:, :, inner[1], inner[1]]
        edge = dense(found[stride])[:, :, inner[0], inner[0]]
        torch.testing.assert_close(edge, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("tiles", [False, True], ids=["no tiles", "tiles"])
@pytest.mark.parametrize("growth", [5, 24])
def test_autocast_computes_bands_in_its_type(
    growth: int, tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"amx_bf16": tiles})
    torch.manual_seed(6)
    net = RRDB(in_channels=1, features=8, growth=growth, blocks=2, stack=[], scale=2, enlarged=True).eval()
    for stride in (1, 2, 4):
        net.provide(stride)
    image = torch.rand(1, 1, 72, 24)
    with torch.no_grad():
        exact = net(image)
        with torch.autocast("cpu", torch.bfloat16):
            rows = net(image)
    assert rows[2].dtype == torch.bfloat16
    torch.testing.assert_close(rows[1], exact[1])
    for stride in (2, 4):
        error = (rows[stride].float() - exact[stride]).square().mean().sqrt()
        assert 0 < error < 0.01 * exact[stride].std()
