"""The table of equivalences in docs/reference/interop.md: each row with equal weights, both directions."""

from __future__ import annotations

import math

import normflows
import pytest
import torch
from interop_docs import table
from nflows import transforms

from flowkit import Shape, registry
from flowkit.interop.normflows import as_normflows
from flowkit.layers import Inverse
from flowkit.layers.base import make_example
from flowkit.ops import log_scale

C, CONTEXT = 4, 3


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def random(*size: int) -> torch.Tensor:
    return torch.randn(size, generator=generator(), dtype=torch.float64)


X, U = random(2, C, 4, 6), random(2, CONTEXT, 4, 6)


def ours(name, **options):
    return make_example(registry.get("layer", name), generator(), channels=C, **options)[0]


def theirs(name, **options):
    """As it starts, with a context if it takes one."""
    cls = registry.get("layer", name)
    shapes = [Shape(C, 2), Shape(CONTEXT, 2)][: len(registry.positional(cls))]
    torch.manual_seed(0)
    return cls(*shapes, **options).double().eval()


def same(a, b, x=X):
    for way in ("forward", "inverse"):
        inputs = x if way == "forward" else a(x, U)[0].detach()
        for found, expected in zip(getattr(b, way)(inputs, U), getattr(a, way)(inputs, U), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    return a(x, U)[0]


@torch.no_grad()
def actnorm():
    layer, n, f = ours("actnorm"), theirs("nflows/act_norm"), theirs("normflows/act_norm")
    bias, log_scale = layer.bias.flatten(), layer.log_scale.flatten()
    n.host.log_scale.copy_(log_scale)
    n.host.shift.copy_(bias * log_scale.exp())
    f.host.s.copy_(-layer.log_scale)
    f.host.t.copy_(-layer.bias)
    same(layer, n)
    same(layer, f)


@torch.no_grad()
def conv1x1():
    n, f = ours("nflows/one_by_one_convolution"), theirs("normflows/invertible1x1_conv")
    n.host.bias.zero_()
    layer = ours("conv1x1")
    # nflows permutes, then multiplies by LU.
    layer.weight.copy_(n.host.weight()[:, torch.argsort(n.host.permutation._permutation)])
    f.host.W.copy_(layer.weight)
    same(layer, n)
    same(layer, f)


def permute():
    layer, f = ours("permute", seed=1), theirs("normflows/permute")
    order = layer.order
    assert order.tolist() != list(range(C))
    f.host.inv_perm.copy_(order)
    f.host.perm.copy_(torch.argsort(order))
    same(layer, theirs("nflows/permutation", permutation=tuple(order.tolist())))
    same(layer, f)


def reverse():
    same(ours("reverse"), theirs("nflows/reverse_permutation"))


def squeeze():
    layer = ours("squeeze", size=(4, 6))
    assert same(layer, theirs("nflows/squeeze")).shape == (2, 4 * C, 2, 3)
    same(layer, theirs("normflows/squeeze"))


@torch.no_grad()
def affine_coupling_of_nflows():
    layer = ours("affine_coupling", hidden=8, scale="sigmoid", eps=1e-3)
    n = theirs("nflows/affine_coupling", hidden=8)
    # One scale for all pixels, so that x s + t = (x + shift) s can hold with weights alone.
    layer.network.out.weight[C // 2 :] = 0
    other = n.host.transform_net.network
    other.load_state_dict(layer.network.state_dict())
    s = torch.sigmoid(layer.network.out.bias[C // 2 :] + 2) + 1e-3
    other.out.weight[: C // 2] *= s[:, None, None, None]
    other.out.bias[: C // 2] *= s
    same(layer, n)


@torch.no_grad()
def convolutions_of_normflows(layer, block, parameters):
    """flowkit's network, which must not see the features, as normflows' three convolutions."""
    network, (first, _, second, _, third) = layer.network, block.host.flows[1].param_map.net
    network.on_context.weight.zero_()
    first.weight.copy_(network.on_latent.weight)
    first.bias.copy_(network.on_context.bias)
    second.load_state_dict(network.mix.state_dict())
    sign = torch.tensor([-1.0, 1.0], dtype=torch.float64)[:parameters].repeat_interleave(C // 2)
    order = torch.arange(parameters * C // 2).view(parameters, -1).T.flatten()
    third.weight.copy_((network.out.weight * sign[:, None, None, None])[order])
    third.bias.copy_((network.out.bias * sign)[order])
    same(layer, block)


def affine_coupling_of_normflows():
    layer = ours("affine_coupling", hidden=8, scale="sigmoid")
    block = theirs("normflows/affine_coupling_block", hidden_channels=8, scale_map="sigmoid")
    convolutions_of_normflows(layer, block, 2)


def additive_coupling():
    layer = ours("additive_coupling", hidden=8)
    n = theirs("nflows/additive_coupling", hidden=8)
    n.host.transform_net.network.load_state_dict(layer.network.state_dict())
    same(layer, n)
    block = theirs("normflows/affine_coupling_block", hidden_channels=8, scale=False)
    convolutions_of_normflows(layer, block, 1)


@torch.no_grad()
def spline_coupling():
    bins, hidden, least = 5, 9, 0.0
    layer = ours("spline_coupling", hidden=hidden, bins=bins, bound=2.0)
    n = theirs(
        "nflows/piecewise_rational_quadratic_coupling",
        hidden=hidden,
        num_bins=bins,
        tail_bound=2.0,
        min_bin_width=least,
        min_bin_height=least,
        min_derivative=least,
    )
    raw = random(3 * bins - 1, C // 2)
    sizes = torch.nn.functional.softsign(raw[: 2 * bins]) * math.sqrt(hidden)
    slopes = torch.log(torch.expm1(torch.exp(log_scale(raw[2 * bins :]))))  # the inverse of softplus
    for network, bias in (
        (layer.network, raw.flatten()),
        (n.host.transform_net.network, torch.cat([sizes, slopes]).T.flatten()),
    ):
        network.out.weight.zero_()
        network.out.bias.copy_(bias)
    z = same(layer, n)
    assert (z[:, C // 2 :] - X[:, C // 2 :]).abs().max() > 0.1


def sigmoid():
    same(ours("sigmoid"), theirs("nflows/sigmoid"))


def logit_of_nflows():
    same(ours("logit", eps=0.0), theirs("nflows/logit"), torch.sigmoid(X))


def logit_of_normflows():
    same(ours("logit", eps=0.05), theirs("normflows/logit", alpha=0.05), torch.sigmoid(X))


def inverse():
    layer = ours("affine_coupling", hidden=8)
    swapped = Inverse.of(layer)
    same(swapped, transforms.InverseTransform(layer))
    host = normflows.flows.Reverse(as_normflows(ours("actnorm")))  # Reverse passes no context
    z, log_det = Inverse.of(ours("actnorm"))(X)
    torch.testing.assert_close(host.inverse(X), (z, log_det))
    torch.testing.assert_close(host(z), (X, -log_det))


def split():
    merge, expected = as_normflows(ours("split", prior="standard")), normflows.flows.Merge("channel")
    for parts in (merge.inverse(X)[0], expected.inverse(X)[0]):
        torch.testing.assert_close(parts, [X[:, : C // 2], X[:, C // 2 :]])
        torch.testing.assert_close(merge(parts)[0], expected(parts)[0])
    assert merge.inverse(X)[1].tolist() == [0, 0] == [expected.inverse(X)[1]] * 2


ROWS = {
    ("actnorm", "nflows/act_norm", "normflows/act_norm"): actnorm,
    ("conv1x1", "nflows/one_by_one_convolution", "normflows/invertible1x1_conv"): conv1x1,
    ("permute", "nflows/permutation", "normflows/permute"): permute,
    ("reverse", "nflows/reverse_permutation", "-"): reverse,
    ("squeeze", "nflows/squeeze", "normflows/squeeze"): squeeze,
    ("affine_coupling", "nflows/affine_coupling", "-"): affine_coupling_of_nflows,
    ("affine_coupling", "-", "normflows/affine_coupling_block"): affine_coupling_of_normflows,
    ("additive_coupling", "nflows/additive_coupling", "normflows/affine_coupling_block"): additive_coupling,
    ("spline_coupling", "nflows/piecewise_rational_quadratic_coupling", "-"): spline_coupling,
    ("sigmoid", "nflows/sigmoid", "-"): sigmoid,
    ("logit", "nflows/logit", "-"): logit_of_nflows,
    ("logit", "-", "normflows/logit"): logit_of_normflows,
    ("inverse", "InverseTransform", "Reverse"): inverse,
    ("split", "-", "Merge"): split,
}


def test_every_row_of_the_table_has_a_test():
    assert [tuple(row[:3]) for row in table("Equivalences")] == list(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=" = ".join)
def test_equal_maps_with_equal_weights(row):
    ROWS[row]()
