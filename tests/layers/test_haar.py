from __future__ import annotations

import pytest
import torch

from flowkit.errors import ShapeError
from flowkit.layers import Haar, Shape


def test_bands_and_their_order():
    block = torch.tensor([[1.0, 2.0], [4.0, 8.0]])
    x = torch.stack([block, 10 * block])[None]  # two channels, one block
    y, log_det = Haar(Shape(2, 1))(x)
    # averages, horizontal, vertical, diagonal: of both channels each
    bands = [7.5, 75.0, -2.5, -25.0, -4.5, -45.0, 1.5, 15.0]
    assert y.flatten().tolist() == bands
    assert log_det.tolist() == [0.0]


def test_a_constant_has_no_details_and_energy_is_kept():
    layer = Haar(Shape(3, 2))
    assert layer.out_shape == Shape(12, 4)
    flat, _ = layer(torch.full((1, 3, 4, 6), 0.25))
    assert torch.equal(flat[:, :3], torch.full((1, 3, 2, 3), 0.5))
    assert not flat[:, 3:].any()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[0].square().sum(), x.square().sum())


@pytest.mark.parametrize("size", [(3, 4), (4, 3)])
def test_odd_sizes_are_refused(size):
    with pytest.raises(ShapeError, match=r"haar: H and W must be even, got \(1, 2, "):
        Haar(Shape(2, 1))(torch.zeros(1, 2, *size))
