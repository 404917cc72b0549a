"""The compiled op against the formula."""

from __future__ import annotations

import itertools
import json

import pytest
import torch

from flowkit.cli import main
from flowkit.ops import SCALES, affine
from flowkit.ops.formula import affine_formula


def inputs(shape, dtype=torch.float64, seed=0):
    """z, and shift and raw as the halves of one network's output."""
    generator = torch.Generator().manual_seed(seed)
    batch, channels, *sides = shape
    z = torch.randn(shape, generator=generator, dtype=dtype)
    parameters = torch.randn(batch, 2 * channels, *sides, generator=generator, dtype=dtype)
    return z, *parameters.chunk(2, dim=1)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 1, 1, 1), (3, 5, 61, 53), (0, 4, 6, 2), (2, 24, 40, 40)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 3e-5)])
def test_the_compiled_op_is_the_formula(compiled, shape, dtype, tolerance):
    z, shift, raw = inputs(shape, dtype)
    weights = inputs(shape, dtype, seed=1)[0]
    for scale, eps, inverse in itertools.product(SCALES, (0.0, 1e-4), (False, True)):
        leaves = [t.detach().requires_grad_() for t in (z, shift, raw)]
        results = []
        for op in (affine, affine_formula):
            out, log_det = op(*leaves, scale=scale, eps=eps, inverse=inverse)
            weighted = (out * weights).sum() + (log_det * torch.arange(1, len(z) + 1)).sum()
            gradients = torch.autograd.grad(weighted, leaves)
            results.append((out, log_det, *gradients))
        for ours, expected in zip(*results, strict=True):
            torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)


def test_exp_is_right_for_every_number(compiled):
    """From where it is 0 to where it is infinite, and in the scale's gradient, which is itself."""
    odd = torch.tensor([-torch.inf, torch.inf, torch.nan, -0.0, -200, 200, 88.72283, 88.72284, -103.97])
    raw = torch.cat([torch.linspace(-106, 90, 30_001), odd]).view(1, 1, 1, -1).requires_grad_()
    out, _ = affine(torch.ones_like(raw), torch.zeros_like(raw), raw, scale="exp")
    expected = raw.detach().double().exp().float()
    smallest = 2.0**-149
    torch.testing.assert_close(out, expected, rtol=2.5e-7, atol=smallest, equal_nan=True)
    [by_raw] = torch.autograd.grad(out.sum(), raw)
    torch.testing.assert_close(by_raw, expected, rtol=2.5e-7, atol=smallest, equal_nan=True)


@pytest.mark.parametrize("inverse", [False, True])
def test_gradients_and_their_gradients(compiled, inverse):
    leaves = [t.detach().requires_grad_() for t in inputs((2, 3, 2, 5))]
    assert torch.autograd.gradcheck(lambda *t: affine(*t, inverse=inverse), leaves)
    assert torch.autograd.gradgradcheck(lambda *t: affine(*t, inverse=inverse), leaves)


@pytest.mark.parametrize("inverse", [False, True])
def test_torch_accepts_the_op(compiled, inverse):
    z, shift, raw = inputs((2, 3, 4, 5))
    torch.library.opcheck(torch.ops.flowkit.affine.default, (z, shift, raw, 0, 0, 0.0, inverse))
    gradients = torch.randn_like(z), torch.randn(2, dtype=z.dtype)
    torch.library.opcheck(
        torch.ops.flowkit.affine_backward.default, (*gradients, z, shift, raw, 0, False, 1, 1e-4, inverse)
    )


def test_the_number_of_threads_changes_no_bit(compiled):
    z, shift, raw = inputs((3, 24, 41, 43), torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(affine(z, shift, raw))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(
    "change",
    [
        lambda z, shift, raw: (z.to(memory_format=torch.channels_last), shift, raw),
        lambda z, shift, raw: (z, *(t.to(memory_format=torch.channels_last) for t in (shift, raw))),
        lambda z, shift, raw: (z, shift.to(memory_format=torch.channels_last), raw),
        lambda z, shift, raw: (z.transpose(2, 3), shift.transpose(2, 3), raw.transpose(2, 3)),
        lambda z, shift, raw: (z, shift[:, :1], raw[:1, :, :1, :1]),
        lambda z, shift, raw: (z.float(), shift, raw),
        lambda z, shift, raw: (z[:, 1:], shift[:, :2], raw[:, 1:]),
        lambda z, shift, raw: (z[:, ::2], shift[:, ::2], raw[:, 1:]),
        lambda z, shift, raw: (z[..., ::2], shift[..., 1::2], raw[..., :2]),
        lambda z, shift, raw: (z.flatten(2), shift.flatten(2), raw.flatten(2)),
        lambda z, shift, raw: (z.flatten(1), shift.flatten(1), raw.flatten(1)),
        lambda z, shift, raw: (z.unflatten(3, (2, 2)), shift.unflatten(3, (2, 2)), raw.unflatten(3, (2, 2))),
    ],
)
def test_other_layouts_and_types_come_out_the_same(compiled, change):
    z, shift, raw = change(*inputs((2, 3, 6, 4)))
    leaves = [t.detach().requires_grad_() for t in (z, shift, raw)]
    ours = affine(*leaves)
    expected = affine_formula(leaves[0], *(t.to(z.dtype) for t in leaves[1:]))
    weights = torch.linspace(-1, 1, z.numel(), dtype=z.dtype).reshape(z.shape)
    by = [
        torch.autograd.grad((out * weights).sum() + log_det[0], leaves) for out, log_det in (ours, expected)
    ]
    for a, b in zip((*ours, *by[0]), (*expected, *by[1]), strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
@pytest.mark.parametrize("inverse", [False, True])
def test_sixteen_bits_are_computed_in_float32(compiled, dtype, tolerance, inverse):
    """So that a result is at most half a step from the exact one; a log-det is not rounded at all."""
    leaves = [t.to(dtype).requires_grad_() for t in inputs((2, 5, 21, 19), torch.float32)]
    exact = [t.detach().double().requires_grad_() for t in leaves]
    by_out = torch.linspace(-1, 1, leaves[0].numel()).reshape(leaves[0].shape).to(dtype)
    results = []
    for op, of in ((affine, leaves), (affine_formula, exact)):
        out, log_det = op(*of, scale="sigmoid", eps=1e-4, inverse=inverse)
        by_log_det = torch.ones_like(log_det)
        gradients = torch.autograd.grad((out, log_det), of, (by_out.to(out.dtype), by_log_det))
        results.append((log_det, out, *gradients))
    for ours, expected in zip(*results, strict=True):
        exactly = 1e-6 if ours.dim() == 1 else tolerance
        assert ours.dtype == (torch.float32 if ours.dim() == 1 else dtype)
        torch.testing.assert_close(ours.double(), expected, rtol=exactly, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z, shift, raw: (z, shift.float(), raw), "shift must have z's dtype"),
        (lambda z, shift, raw: (z, shift, raw.bfloat16()), "raw must have z's dtype"),
        (lambda z, shift, raw: (z, shift, raw[..., :2]), "raw has the wrong size in dimension 3"),
        (lambda z, shift, raw: (z, shift[0], raw), "shift must have z's dimensions"),
        (lambda z, shift, raw: (z[:, 1:], shift, raw), "3 channels from 0 on are to be moved, z has 2"),
        (lambda z, shift, raw: (z.int(), shift.int(), raw.int()), "z must be float32, float64, float16 or"),
    ],
)
def test_the_library_refuses_by_name(compiled, change, message):
    with pytest.raises(RuntimeError, match=message):
        torch.ops.flowkit.affine(*change(*inputs((2, 3, 6, 4))), 0, 0, 0.0, False)


def test_transforms_take_the_path_in_torch(compiled):
    z, shift, raw = inputs((2, 3, 2, 2))
    jacobian = torch.func.jacrev(lambda z: affine(z, shift, raw)[0])(z)
    log_s = affine_formula(torch.ones_like(z), torch.zeros_like(z), raw)[0]
    torch.testing.assert_close(jacobian.reshape(24, 24).diag(), log_s.flatten())
    mapped = torch.func.vmap(lambda z, shift, raw: affine(z[None], shift[None], raw[None])[0][0])
    torch.testing.assert_close(mapped(z, shift, raw), affine(z, shift, raw)[0])


def test_a_compiled_graph_keeps_the_op(compiled):
    z, shift, raw = inputs((2, 3, 4, 4))
    called: list[str] = []

    def backend(graph, _):
        called.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
        return graph.forward

    torch.compiler.reset()
    ours = torch.compile(affine, fullgraph=True, backend=backend)(z, shift, raw)
    assert "flowkit.affine" in called
    for a, b in zip(ours, affine(z, shift, raw), strict=True):
        torch.testing.assert_close(a, b)


def test_a_transform_is_compiled_without_a_break(compiled):
    z, shift, raw = inputs((2, 3, 2, 2))
    jacobian = torch.func.jacrev(lambda z: affine(z, shift, raw)[0])
    torch.compiler.reset()
    torch.testing.assert_close(torch.compile(jacobian, fullgraph=True, backend="aot_eager")(z), jacobian(z))


@pytest.mark.slow
def test_a_table_of_compiled_models_has_graphs_with_the_op_and_without(compiled, tmp_path, monkeypatch):
    """That it is set aside in some graphs and stays in others: seen by what the graphs call."""
    graphs = []

    def watched(function, **options):
        def backend(graph, _):
            parts = [part for part in graph.modules() if isinstance(part, torch.fx.GraphModule)]
            graphs.append(any("ops.flowkit.affine" in part.code for part in parts))
            return graph

        return real(function, backend=backend, **options)

    real = torch.compile
    monkeypatch.setattr(torch, "compile", watched)
    sets = ["vars.steps=1", "vars.hidden=4", "encoder.widths=[4,4]"]
    changes = [part for change in sets for part in ("--set", change)]
    numbers = ["--batch", "1", "--samples", "2", "--rounds", "1"]
    assert main(["bench", "compiled", "binarize", *changes, *numbers, "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "compiled-cpu.json").read_text())["rows"]
    variants = ["eager", "compiled", "eager, fused op", "compiled, fused op"]
    assert [row["variant"] for row in rows] == 2 * variants
    assert graphs == [False, True, False, True]
