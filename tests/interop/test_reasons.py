"""Each refusal whose reason can be run: if a host is mended one day, the test says so."""

from __future__ import annotations

import normflows
import pytest
import torch
from nflows import transforms

X = torch.linspace(-2, 2, 12, dtype=torch.float64).view(4, 3)


def test_nflows_naive_linear_has_no_inverse():
    layer = transforms.NaiveLinear(3, orthogonal_initialization=False).double()
    with pytest.raises(RuntimeError, match=r"torch\.solve"):
        layer.inverse(X)


def test_nflows_batch_norm():
    layer = transforms.BatchNorm(3).double()
    with pytest.raises(ValueError, match="Expected 2-dim inputs"):
        layer(X.view(1, 3, 2, 2))
    assert not torch.allclose(layer(X)[0][:2], layer(X[:2])[0])
    with pytest.raises(transforms.InverseNotAvailable):
        layer.inverse(X)


def test_nflows_gated_linear_unit_does_not_sum():
    assert transforms.GatedLinearUnit()(X, X)[1].shape == (12,)


@pytest.mark.filterwarnings("ignore:Use PointwiseAffineTransform:DeprecationWarning")
def test_nflows_affine_is_deprecated():
    assert transforms.AffineScalarTransform is transforms.AffineTransform
    assert isinstance(transforms.AffineTransform(1.0, 2.0), transforms.PointwiseAffineTransform)


def test_nflows_linear_spline_is_inexact_and_ours_exact():
    from flowkit.interop.nflows.linear_spline import linear_spline

    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    raw = torch.randn(101, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z, log_slope = transforms.splines.linear_spline(x, raw)
    ours, ours_log_slope = linear_spline(x, raw, bound=None, inverse=False)
    torch.testing.assert_close(ours, z, rtol=0, atol=1e-14)
    torch.testing.assert_close(ours_log_slope, log_slope)
    assert (transforms.splines.linear_spline(z, raw, inverse=True)[0] - x).abs().max() > 1e-9
    assert (linear_spline(z, raw, bound=None, inverse=True)[0] - x).abs().max() < 1e-13


@pytest.mark.parametrize("spline", ["quadratic", "cubic"])
def test_nflows_inverts_straight_pieces_as_nan(spline):
    function = getattr(transforms.splines, f"{spline}_spline")
    sizes = (8, 9) if spline == "quadratic" else (8, 8, 1, 1)
    x = torch.linspace(0.4, 0.6, 12, dtype=torch.float64)
    zeros = [torch.zeros(12, n, dtype=torch.float64) for n in sizes]
    assert function(function(x, *zeros)[0], *zeros, inverse=True)[0].isnan().any()


@pytest.mark.parametrize("act", ["tanh", "leaky_relu"])
def test_normflows_planar(act):
    torch.manual_seed(0)
    layer = normflows.flows.Planar((3,), act).double()
    z, _ = layer(X)
    if act == "tanh":
        with pytest.raises(NotImplementedError):
            layer.inverse(z)
    else:
        assert (layer.inverse(z)[0] - X).abs().max() > 1e-10


@pytest.mark.parametrize("make", [lambda: normflows.flows.Radial((3,)), normflows.flows.BatchNorm])
def test_normflows_without_inverse(make):
    with pytest.raises(NotImplementedError):
        make().double().inverse(X)


@pytest.mark.parametrize("mode", ["channel", "checkerboard"])
def test_normflows_split_and_merge_have_lists(mode):
    x = torch.randn(2, 4, 4, 4)
    parts, log_det = normflows.flows.Split(mode)(x)
    assert isinstance(parts, list)
    assert log_det == 0
    torch.testing.assert_close(normflows.flows.Merge(mode)(parts)[0], x)


def test_normflows_periodic_flows_are_not_injective():
    layer = normflows.flows.PeriodicWrap([0, 1, 2], bound=1.0)
    torch.testing.assert_close(layer.inverse(X)[0], layer.inverse(X + 2)[0])


def test_normflows_residual_is_random():
    torch.manual_seed(0)
    net = normflows.nets.LipschitzMLP([3, 8, 3], init_zeros=False, lipschitz_const=0.9)
    layer = normflows.flows.Residual(net, reduce_memory=False)
    x = X.float()
    assert not torch.equal(layer.inverse(x)[1], layer.inverse(x)[1])
