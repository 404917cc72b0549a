"""The op on a network's output as it is: in the right channels of one result, in every layout."""

from __future__ import annotations

import pytest
import torch

from flowkit.errors import ShapeError
from flowkit.layers import AffineCoupling, AffineInjector, ConditionalSplit, Shape
from flowkit.ops import affine_packed, kernels
from flowkit.ops.formula import affine_formula

LAST, FIRST = torch.channels_last, torch.contiguous_format
# (z, the first moved channel, how many there are): whole rows and tails, one channel, one pixel, one row
SHAPES = [
    ((2, 7, 5, 3), 2, 3),
    ((2, 7, 5, 3), 0, 7),
    ((3, 24, 40, 41), 12, 12),
    ((2, 24, 3, 400), 0, 12),
    ((1, 130, 3, 5), 2, 128),
    ((2, 2, 4, 4), 1, 1),
    ((2, 4, 1, 1), 2, 2),
    ((2, 4, 1, 5), 2, 2),
    ((2, 4, 5, 1), 2, 2),
    ((0, 4, 2, 2), 2, 2),
    ((2, 4, 0, 2), 2, 2),
]


def by_hand(z, parameters, start, interleaved, **options):
    count = parameters.shape[1] // 2
    if interleaved:
        shift, raw = parameters[:, 0::2], parameters[:, 1::2]
    else:
        shift, raw = parameters[:, :count], parameters[:, count:]
    moved, log_det = affine_formula(z[:, start : start + count], shift, raw, **options)
    return torch.cat([z[:, :start], moved, z[:, start + count :]], 1), log_det


def random(shape, seed, layout=FIRST, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return values.contiguous(memory_format=layout)


def inputs(shape, count, layouts=(FIRST, FIRST), dtype=torch.float64):
    parameters = (shape[0], 2 * count, *shape[2:])
    pair = random(shape, 0, layouts[0], dtype), random(parameters, 1, layouts[1], dtype)
    return [t.requires_grad_() for t in pair]


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("layouts", [(FIRST, FIRST), (LAST, LAST), (FIRST, LAST), (LAST, FIRST)])
@pytest.mark.parametrize(("shape", "start", "count"), SHAPES)
@pytest.mark.parametrize("path", ["compiled", "torch"])
def test_the_packed_form_is_the_formula(request, path, shape, start, count, layouts, interleaved):
    if path == "compiled":
        request.getfixturevalue("compiled")
    leaves = inputs(shape, count, layouts)
    by_out, by_log_det = random(shape, 2), random(shape[:1], 3)
    for options in ({"inverse": True}, {"scale": "sigmoid", "eps": 1e-4}):
        ours = affine_packed(*leaves, start=start, interleaved=interleaved, **options)
        expected = by_hand(*leaves, start, interleaved, **options)
        pairs = [(*r, *torch.autograd.grad(r, leaves, (by_out, by_log_det))) for r in (ours, expected)]
        for a, b in zip(*pairs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [FIRST, LAST])
@pytest.mark.parametrize("interleaved", [False, True])
def test_every_type_in_both_layouts(compiled, dtype, layout, interleaved):
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 2**-8, torch.float16: 2**-10}[dtype]
    leaves = inputs((2, 11, 13, 17), 6, (layout, layout), dtype)
    exact = [t.detach().double().requires_grad_() for t in leaves]
    by_out = random((2, 11, 13, 17), 2, dtype=dtype)
    ours = affine_packed(*leaves, start=5, interleaved=interleaved)
    expected = by_hand(*exact, 5, interleaved)
    gradients = (
        torch.autograd.grad(ours[0], leaves, by_out),
        torch.autograd.grad(expected[0], exact, by_out.double()),
    )
    for a, b in zip((ours[0], *gradients[0]), (expected[0], *gradients[1]), strict=True):
        assert a.dtype == dtype
        torch.testing.assert_close(a.double(), b, rtol=tolerance, atol=1e-5)


def test_results_lie_as_the_networks_output_does(compiled):
    for layouts in ((FIRST, LAST), (LAST, FIRST)):
        leaves = inputs((2, 6, 4, 5), 3, layouts)
        out, _ = affine_packed(*leaves, start=3)
        assert out.is_contiguous(memory_format=layouts[1])
        _, by_parameters = torch.autograd.grad(out.sum(), leaves)
        assert by_parameters.is_contiguous(memory_format=layouts[1])


@pytest.mark.parametrize("inverse", [False, True])
def test_gradients_and_their_gradients(compiled, inverse):
    leaves = inputs((2, 3, 2, 3), 2, (LAST, LAST))
    options = {"start": 1, "interleaved": True, "inverse": inverse}
    assert torch.autograd.gradcheck(lambda *t: affine_packed(*t, **options), leaves)
    assert torch.autograd.gradgradcheck(lambda *t: affine_packed(*t, **options), leaves)


@pytest.mark.parametrize("layout", [FIRST, LAST])
@pytest.mark.parametrize("interleaved", [False, True])
def test_torch_accepts_the_op(compiled, layout, interleaved):
    z, parameters = (t.detach() for t in inputs((2, 5, 4, 3), 2, (layout, layout), torch.bfloat16))
    shift, raw = (parameters[:, 0::2], parameters[:, 1::2]) if interleaved else parameters.chunk(2, 1)
    torch.library.opcheck(torch.ops.flowkit.affine.default, (z, shift, raw, 2, 1, 1e-4, True))
    by = random(z.shape, 2, dtype=z.dtype), random((2,), 3, dtype=torch.float32)
    arguments = (*by, z, shift, raw, 2, interleaved, 0, 0.0, False)
    torch.library.opcheck(torch.ops.flowkit.affine_backward.default, arguments)


@pytest.mark.parametrize("layout", [FIRST, LAST])
def test_the_number_of_threads_changes_no_bit(compiled, layout):
    leaves = inputs((2, 24, 41, 43), 12, (layout, layout), torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            out, log_det = affine_packed(*leaves, start=12)
            found.append((out, log_det, *torch.autograd.grad(out.sum(), leaves)))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("shape", "start"), [((2, 5, 4, 4), 0), ((1, 4, 4, 4), 0), ((2, 4, 4, 3), 0), ((2, 4, 4, 4), 3)]
)
def test_shapes_that_do_not_fit(shape, start):
    with pytest.raises(ShapeError, match=r"expected parameters .* got \("):
        affine_packed(torch.zeros(2, 4, 4, 4), torch.zeros(shape), start=start)


@pytest.mark.parametrize("layout", [FIRST, LAST])
@pytest.mark.parametrize("layer", [AffineCoupling, AffineInjector, ConditionalSplit])
@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_layers_are_the_same_with_and_without(compiled, monkeypatch, perturb, layer, layout, way):
    """Values and gradients, under autocast, where the network's output is low in precision; and compiled."""
    torch.manual_seed(0)
    module = perturb(layer(Shape(5, 2), Shape(3, 2), hidden=4).to(memory_format=layout))
    z, features = (
        random((2, c, 6, 5), c, layout, torch.float32).requires_grad_() for c in (module.shape.channels, 3)
    )

    def run(function):
        with torch.autocast("cpu", torch.bfloat16):
            out, log_det = function(z, features)
        leaves = [z, features, *module.parameters()]
        return (out, log_det, *torch.autograd.grad(out.square().sum() + log_det.sum(), leaves))

    direction = getattr(module, way)
    ours = traced = run(direction)
    if layout is LAST:
        torch.compiler.reset()
        traced = run(torch.compile(direction, fullgraph=True, backend="aot_eager"))
    monkeypatch.setattr(kernels, "available", lambda device: False)
    for a, b, expected in zip(ours, traced, run(direction), strict=True):
        torch.testing.assert_close(a, expected, rtol=2e-2, atol=2e-2)
        torch.testing.assert_close(b, expected, rtol=2e-2, atol=2e-2)
