"""Encoders as streams of rows: whatever the bands, the features are those of the whole page."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

from flowkit.encoders import RRDB, UNet
from flowkit.encoders.streaming import ConvolutionRows


@pytest.fixture(scope="module", params=[((), 1.0), ((3, 11), 0.6)], ids=["plain", "contrast"])
def net(request) -> UNet:
    torch.manual_seed(3)
    contrast, gain = request.param
    net = UNet(in_channels=1, widths=(3, 4, 5), blocks=2, contrast=contrast, gain=gain).double()
    for stride in (2, 4, 8):
        net.provide(stride)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return net.eval()


def streamed(net: UNet, image: torch.Tensor, cuts: list[int]) -> dict[int, torch.Tensor]:
    stream = net.stream()
    parts = [
        stream.push(image[:, :, first:stop], last=stop == image.shape[2])
        for first, stop in itertools.pairwise([0, *cuts, image.shape[2]])
    ]
    pieces = {stride: [piece for part in parts for piece in part[stride]] for stride in parts[0]}
    return {stride: torch.cat(rows, dim=2) for stride, rows in pieces.items()}


@pytest.mark.parametrize("size", [(2, 2), (6, 50), (38, 22), (70, 34)])
@pytest.mark.parametrize("band", [2, 6, 16, 1000])
def test_bands_give_the_features_of_the_whole_page(net, size, band):
    image = torch.rand(2, 1, *size, dtype=torch.float64)
    with torch.no_grad():
        whole = net(image)
        rows = streamed(net, image, list(range(band, size[0], band)))
    assert rows.keys() == whole.keys()
    for stride in whole:
        torch.testing.assert_close(rows[stride], whole[stride], rtol=1e-12, atol=1e-12)


def test_bands_may_differ(net):
    image = torch.rand(1, 1, 44, 26, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(streamed(net, image, [2, 12, 14, 40])[8], net(image)[8])


def test_what_is_held_back_comes_in_pieces(net):
    image = torch.rand(1, 1, 512, 10, dtype=torch.float64)
    with torch.no_grad():
        ready = net.stream().push(image, last=True)
        whole = net(image)
    for stride in (2, 4):
        assert max(piece.shape[2] for piece in ready[stride]) <= 36  # four convolutions hold a row each
        torch.testing.assert_close(torch.cat(ready[stride], dim=2), whole[stride], rtol=1e-12, atol=1e-12)


def test_pages_do_not_see_each_other(net):
    image = torch.rand(1, 1, 20, 18, dtype=torch.float64)
    with torch.no_grad():
        stream = net.stream()
        stream.push(torch.rand(1, 1, 20, 18, dtype=torch.float64), last=False)
        torch.testing.assert_close(streamed(net, image, [10])[2], net(image)[2])


@pytest.mark.parametrize("changed", ["0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var"])
def test_weights_that_changed_are_folded_anew(net, changed):
    """Also by `.data`, of which no counter of versions knows."""
    convolution = copy.deepcopy(net.stem[0])
    convolution[1].bias.data.fill_(9.0)  # otherwise relu might hide the change
    tensor = convolution.state_dict(keep_vars=True)[changed]
    with torch.no_grad():
        rows = torch.rand(1, convolution[0].in_channels, 6, 9, dtype=torch.float64)
        before = ConvolutionRows(convolution).push(rows, last=True)
        again = ConvolutionRows(convolution).push(rows, last=True)
        tensor.data[1] += 0.5
        after = ConvolutionRows(convolution).push(rows, last=True)
        torch.testing.assert_close(after, convolution(rows), rtol=1e-12, atol=1e-12)
    assert torch.equal(before, again)
    assert not torch.equal(before, after)


def test_a_trunk_of_blocks_is_streamed_on_processors_alone():
    with torch.device("meta"):
        assert RRDB(blocks=1, stack=[0]).stream() is None
    assert RRDB(blocks=1, stack=[0]).stream() is not None
