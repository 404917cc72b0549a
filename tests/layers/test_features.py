from __future__ import annotations

import pytest
import torch
from torch import nn

from flowkit.errors import ShapeError
from flowkit.layers.features import PartlyCoarse, convolve


def features() -> PartlyCoarse:
    generator = torch.Generator().manual_seed(0)
    fine = torch.randn(2, 3, 6, 10, generator=generator, dtype=torch.float64)
    coarse = torch.randn(2, 5, 3, 5, generator=generator, dtype=torch.float64)
    return PartlyCoarse(fine.requires_grad_(), coarse.requires_grad_())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_coarse_features_are_convolved_as_if_they_had_been_upsampled(kernel, bias):
    torch.manual_seed(kernel)
    convolution = nn.Conv2d(8, 4, kernel, padding=kernel // 2, bias=bias).double()
    maps = features()
    ours, plain = convolve(convolution, maps), convolution(maps.dense())
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    by = torch.randn(ours.shape, dtype=torch.float64)
    sources = [*maps, *convolution.parameters()]
    for a, b in zip(
        torch.autograd.grad(ours, sources, by), torch.autograd.grad(plain, sources, by), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_the_coarse_part_is_what_nearest_neighbours_make_of_it():
    maps = features()
    dense = maps.dense()
    assert torch.equal(dense[:, :3], maps.fine)
    for row, column in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        assert torch.equal(dense[:, 3:, row::2, column::2], maps.coarse)


def test_channels_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="expected features of 9 channels, got 8"):
        convolve(nn.Conv2d(9, 4, 3, padding=1).double(), features())
