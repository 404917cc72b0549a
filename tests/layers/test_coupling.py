"""What is particular to couplings: masks, and what they keep."""

from __future__ import annotations

import math

import pytest
import torch

from flowkit.errors import ShapeError
from flowkit.layers import AdditiveCoupling, AffineCoupling, AffineInjector, Shape, SplineCoupling
from flowkit.layers.base import make_example
from flowkit.layers.masks import Partition
from flowkit.testing import check_layer

COUPLINGS = [AffineCoupling, AdditiveCoupling, SplineCoupling]
MASKS = [(mask, flip) for mask in ("half", "first", "checkerboard", "alternate") for flip in (False, True)]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("coupling", "mask", "flip"),
    [
        (AffineCoupling, "half", True),
        (AffineCoupling, "first", True),
        (AffineCoupling, "first", False),
        (AffineCoupling, "checkerboard", False),
        (AffineCoupling, "alternate", True),
        (AdditiveCoupling, "checkerboard", False),
        (SplineCoupling, "checkerboard", False),
    ],
)
def test_every_mask(coupling, mask, flip):
    check_layer(*make_example(coupling, generator(), hidden=4, size=(3, 3), mask=mask, flip=flip))


@pytest.mark.parametrize("channels", [1, 2])
def test_a_checkerboard_divides_any_number_of_channels(channels):
    options = {"hidden": 4, "mask": "checkerboard", "scale": "sigmoid", "eps": 1e-4}
    check_layer(*make_example(AffineCoupling, generator(), channels=channels, size=(1, 3), **options))


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize(("mask", "flip"), MASKS)
def test_the_kept_part_stays_bit_by_bit_and_alone_decides(coupling, mask, flip):
    layer, x, u = make_example(coupling, generator(), hidden=4, mask=mask, flip=flip)
    places = {
        "half": (torch.arange(5) >= 2)[:, None, None],
        "first": (torch.arange(5) >= 1)[:, None, None],
        "alternate": (torch.arange(5) % 2 == 0)[:, None, None],
        "checkerboard": (torch.arange(3)[:, None] + torch.arange(4)) % 2 == 1,
    }[mask]
    moves = (places ^ flip).expand(x.shape)
    y, _ = layer(x, u)
    assert torch.equal(y[~moves], x[~moves])
    assert (y[moves] != x[moves]).all()
    # Another value in the moved part: the map is the same, so only its own result changes.
    one = torch.zeros_like(x)
    one[tuple(moves.nonzero()[0])] = 1
    changed = layer(x + one, u)[0] != y
    assert torch.equal(changed, one > 0)


@pytest.mark.parametrize("channels", [2, 5])
@pytest.mark.parametrize(("mask", "flip"), MASKS)
def test_join_undoes_split(channels, mask, flip):
    x = torch.arange(2.0 * channels * 6).reshape(2, channels, 3, 2)
    partition = Partition(channels, mask, flip)
    kept, moved, cells = partition.split(x)
    assert (kept.shape[1], moved.shape[1]) == (partition.kept, partition.moved)
    assert torch.equal(partition.join(kept, moved), x)
    if cells is None:
        assert kept.shape[1] + moved.shape[1] == channels
    else:
        assert torch.equal(kept, x * (cells == 0))
    other = Partition(channels, mask, not flip).split(x)
    if cells is None:
        assert torch.equal(other[0], moved)
    else:
        assert torch.equal(other[2], 1 - cells)


def test_the_default_is_the_first_half_and_its_formula():
    layer, x, u = make_example(AffineCoupling, generator(), hidden=4)
    shift, raw = layer.network(*layer.condition(u), x[:, :2]).chunk(2, dim=1)
    log_s = raw / (1 + raw.abs() / 2)
    y, log_det = layer(x, u)
    torch.testing.assert_close(y[:, 2:], (x[:, 2:] + shift) * log_s.exp())
    torch.testing.assert_close(log_det, log_s.sum((1, 2, 3)))
    assert {name.partition(".")[0] for name in layer.state_dict()} == {"network"}


def test_additive_is_volume_preserving():
    layer, x, u = AdditiveCoupling.example(generator())
    y, log_det = layer(x, u)
    torch.testing.assert_close(y[:, 2:] - x[:, 2:], layer.network(*layer.condition(u), x[:, :2]))
    assert not log_det.any()


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("mask", ["half", "first", "checkerboard", "alternate"])
@pytest.mark.parametrize("raw", [-1e4, 1e4])
def test_wild_networks_give_finite_values_and_gradients(coupling, mask, raw):
    layer, x, u = make_example(coupling, generator(), hidden=4, mask=mask)
    layer, x, u = layer.float(), x.float().requires_grad_(), u.float().requires_grad_()
    with torch.no_grad():
        layer.network.out.bias.copy_(raw * torch.sign(torch.randn(layer.network.out.bias.shape)))
    for direction in (layer.forward, layer.inverse):
        y, log_det = direction(x, u)
        gradients = torch.autograd.grad(y.sum() + log_det.sum(), [x, u, *layer.parameters()])
        assert all(value.isfinite().all() for value in (y, log_det, *gradients))


def test_a_checkerboard_says_that_its_grid_is_two_cells():
    assert AffineCoupling(Shape(2, 1), Shape(3, 1), mask="checkerboard").grid == 2
    assert AffineCoupling(Shape(2, 1), Shape(3, 1)).grid == 1


@pytest.mark.parametrize("mask", ["half", "first", "alternate"])
def test_one_channel_has_no_parts(mask):
    with pytest.raises(ShapeError, match="a coupling needs 2 channels or more, got 1"):
        AffineCoupling(Shape(1, 1), Shape(3, 1), mask=mask)


@pytest.mark.parametrize("options", [{"mask": mask, "flip": flip} for mask, flip in MASKS])
@pytest.mark.parametrize("cls", [AffineCoupling, AffineInjector])
@pytest.mark.parametrize("network", ["residual", "srflow"])
def test_eps_is_added_to_the_scale(cls, options, network):
    """Networks start at zero: the scale is that of raw = 0, and eps beside it."""
    options = {"hidden": 4, "scale": "sigmoid", "network": network} | (
        options if cls is AffineCoupling else {}
    )
    plain, added = (cls(Shape(4, 1), Shape(3, 1), eps=eps, **options).double().eval() for eps in (0.0, 0.25))
    x, u = (torch.rand(2, c, 4, 6, generator=generator(), dtype=torch.float64) + 1 for c in (4, 3))
    (y, log_det), (z, other) = plain(x, u), added(x, u)
    moved = y != x
    scale = 1 / (1 + math.exp(-2))
    torch.testing.assert_close(y[moved] / x[moved], torch.full((int(moved.sum()),), scale).double())
    torch.testing.assert_close(z[moved] / x[moved], torch.full((int(moved.sum()),), scale + 0.25).double())
    per_sample = moved[0].sum() * math.log((scale + 0.25) / scale)
    torch.testing.assert_close(other - log_det, per_sample.double().expand(2))
    torch.testing.assert_close(added.inverse(z, u), (x, -other))
