"""The compiled op against the formula; built once, into a folder of its own."""

from __future__ import annotations

import itertools

import pytest
import torch

from flowkit.ops import SCALES, affine, build, build_tools, kernels
from flowkit.ops.affine import affine_formula

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if why := build_tools.missing("cpu"):
        pytest.skip(f"the op cannot be compiled here: {why}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWKIT_CACHE", str(tmp_path_factory.mktemp("kernels")))
        patch.delenv("FLOWKIT_KERNELS", raising=False)
        yield build.build(build.plan("cpu"))


@pytest.fixture
def compiled(library, monkeypatch):
    monkeypatch.setenv("FLOWKIT_KERNELS", "require")
    monkeypatch.setenv("FLOWKIT_CACHE", str(library.parent))
    monkeypatch.setattr(kernels, "_resolved", {})
    assert kernels.available(CPU)


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


@pytest.mark.parametrize("inverse", [False, True])
def test_gradients_and_their_gradients(compiled, inverse):
    leaves = [t.detach().requires_grad_() for t in inputs((2, 3, 2, 5))]
    assert torch.autograd.gradcheck(lambda *t: affine(*t, inverse=inverse), leaves)
    assert torch.autograd.gradgradcheck(lambda *t: affine(*t, inverse=inverse), leaves)


@pytest.mark.parametrize("inverse", [False, True])
def test_torch_accepts_the_op(compiled, inverse):
    z, shift, raw = inputs((2, 3, 4, 5))
    torch.library.opcheck(torch.ops.flowkit.affine.default, (z, shift, raw, 0, 0.0, inverse))
    gradients = torch.randn_like(z), torch.randn(2, dtype=z.dtype)
    torch.library.opcheck(
        torch.ops.flowkit.affine_backward.default, (*gradients, z, shift, raw, 1, 1e-4, inverse)
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
        lambda z, shift, raw: (z.transpose(2, 3), shift.transpose(2, 3), raw.transpose(2, 3)),
        lambda z, shift, raw: (z, shift[:, :1], raw[:1, :, :1, :1]),
        lambda z, shift, raw: (z.float(), shift, raw),
        lambda z, shift, raw: (z.bfloat16(), shift.bfloat16(), raw.bfloat16()),
        lambda z, shift, raw: (z[:, 1:], shift[:, :2], raw[:, 1:]),
    ],
)
def test_other_layouts_and_types_come_out_the_same(compiled, change):
    z, shift, raw = change(*inputs((2, 3, 6, 4)))
    ours = affine(z, shift, raw)
    expected = affine_formula(z, shift.to(z.dtype), raw.to(z.dtype))
    for a, b in zip(ours, expected, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b)


def test_transforms_take_the_path_in_torch(compiled):
    z, shift, raw = inputs((2, 3, 2, 2))
    jacobian = torch.func.jacrev(lambda z: affine(z, shift, raw)[0])(z)
    log_s = affine_formula(torch.ones_like(z), torch.zeros_like(z), raw)[0]
    torch.testing.assert_close(jacobian.reshape(24, 24).diag(), log_s.flatten())
    mapped = torch.func.vmap(lambda z, shift, raw: affine(z[None], shift[None], raw[None])[0][0])
    torch.testing.assert_close(mapped(z, shift, raw), affine(z, shift, raw)[0])


def test_compile_of_a_function_that_has_the_op(compiled):
    z, shift, raw = inputs((2, 3, 4, 4))
    run = torch.compile(affine, fullgraph=True, backend="aot_eager")
    for ours, expected in zip(run(z, shift, raw), affine(z, shift, raw), strict=True):
        torch.testing.assert_close(ours, expected)
