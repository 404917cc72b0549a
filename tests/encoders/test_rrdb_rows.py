"""RRDBs in bands of rows, without gradients: the features are those of the whole image."""

from __future__ import annotations

import pytest
import torch

from flowkit.encoders import RRDB, dense_block

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


@pytest.mark.parametrize("growth", [5, 24])
def test_autocast_computes_bands_in_its_type(growth: int) -> None:
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
