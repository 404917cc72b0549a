"""The CUDA kernels on a GPU, against the formula; skipped where there is none."""

from __future__ import annotations

import itertools

import pytest
import torch

from flowkit.ops import SCALES, affine, affine_packed, kernels
from flowkit.ops.formula import affine_formula

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: torch finds no CUDA device")

LAST, FIRST = torch.channels_last, torch.contiguous_format
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5, torch.bfloat16: 2**-8, torch.float16: 2**-10}


@pytest.fixture(autouse=True)
def required(monkeypatch):
    monkeypatch.setenv("FLOWKIT_KERNELS", "require")
    monkeypatch.setattr(kernels, "_resolved", {})
    assert kernels.available(torch.device("cuda"))


def tensors(shape, count, layout=FIRST, dtype=torch.float32):
    """z, a network's output for `count` of its channels, and a gradient by the result."""
    generator = torch.Generator("cuda").manual_seed(0)
    batch, _, *sides = shape
    sizes = (shape, (batch, 2 * count, *sides), shape)
    values = (torch.randn(size, generator=generator, device="cuda", dtype=torch.float64) for size in sizes)
    return [t.to(dtype).contiguous(memory_format=layout) for t in values]


def both_passes(z, parameters, by_out, **options):
    leaves = [t.detach().requires_grad_() for t in (z, parameters)]
    out, log_det = affine_packed(*leaves, **options)
    by_log_det = torch.ones_like(log_det)
    return (out, log_det, *torch.autograd.grad((out, log_det), leaves, (by_out, by_log_det)))


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("layout", [FIRST, LAST])
@pytest.mark.parametrize(
    ("shape", "start", "count"),
    [
        ((2, 24, 40, 40), 12, 12),
        ((2, 24, 40, 40), 0, 24),
        ((3, 7, 37, 53), 3, 4),
        ((2, 4, 1, 1), 2, 2),
        ((0, 4, 2, 2), 2, 2),
    ],
)
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_the_op_is_the_formula(dtype, shape, start, count, layout, interleaved):
    z, parameters, by_out = tensors(shape, count, layout, dtype)
    for scale, eps, inverse in itertools.product(SCALES, (0.0, 1e-4), (False, True)):
        options = {"scale": scale, "eps": eps, "inverse": inverse}
        ours = both_passes(z, parameters, by_out, start=start, interleaved=interleaved, **options)
        exact = [t.double().requires_grad_() for t in (z, parameters)]
        halves = (exact[1][:, 0::2], exact[1][:, 1::2]) if interleaved else exact[1].chunk(2, 1)
        moved, log_det = affine_formula(exact[0][:, start : start + count], *halves, **options)
        out = torch.cat([exact[0][:, :start], moved, exact[0][:, start + count :]], 1)
        by = by_out.double(), torch.ones_like(log_det)
        expected = (out, log_det, *torch.autograd.grad((out, log_det), exact, by))
        for one, other in zip(ours, expected, strict=True):
            tolerance = min(TOLERANCE[dtype], 2e-5) if one.dim() == 1 else TOLERANCE[dtype]
            # a log-det is a sum of many terms that may cancel, each of which is rounded
            terms = count * shape[2] * shape[3] if one.dim() == 1 else 0
            near = max(min(tolerance, 1e-3), torch.finfo(one.dtype).eps * terms)
            torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=near)


@pytest.mark.parametrize("layout", [FIRST, LAST])
def test_the_same_bits_every_time_and_on_another_stream(layout):
    given = tensors((16, 24, 80, 80), 12, layout)
    first = both_passes(*given, start=12)
    other = torch.cuda.Stream()
    other.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(other):
        second = both_passes(*given, start=12)
    torch.cuda.current_stream().wait_stream(other)
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one, two)


def test_in_a_captured_graph():
    z, parameters, _ = tensors((4, 24, 80, 80), 12)
    with torch.no_grad():
        affine_packed(z, parameters, start=12)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out, log_det = affine_packed(z, parameters, start=12)
        z.copy_(torch.randn_like(z))
        graph.replay()
        expected = affine_packed(z, parameters, start=12)
    assert torch.equal(out, expected[0])
    assert torch.equal(log_det, expected[1])


def test_misaligned_and_sliced_inputs():
    z, parameters, _ = tensors((2, 8, 12, 12), 4)
    shifted = torch.empty(z.numel() + 1, device="cuda")[1:].view_as(z).copy_(z)
    assert torch.equal(affine_packed(shifted, parameters)[0], affine_packed(z, parameters)[0])
    shift, raw = parameters.chunk(2, 1)
    for ours, expected in zip(
        affine(z[:, ::2], shift, raw), affine_formula(z[:, ::2], shift, raw), strict=True
    ):
        torch.testing.assert_close(ours, expected)


def test_a_compiled_graph_keeps_the_op():
    given = tensors((2, 24, 20, 20), 12)
    torch.compiler.reset()
    compiled = torch.compile(affine_packed, fullgraph=True)
    with torch.no_grad():
        for one, other in zip(
            compiled(*given[:2], start=12), affine_packed(*given[:2], start=12), strict=True
        ):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("layout", [FIRST, LAST])
def test_more_elements_than_32_bits_count(layout):
    """One sample of 2^31 + 2^13 elements, of whose ends the results are compared."""
    shape = (1, 4, 2**16, 2**13 + 1) if layout is FIRST else (1, 2, 2**16, 2**14 + 1)
    needed = 5 * 2 * 2**31  # bytes: z, shift, raw, the result and what is left over, in bfloat16
    if torch.cuda.mem_get_info()[0] < needed:
        pytest.skip(f"no GPU: of {needed >> 30} GiB of memory")
    z = torch.empty(shape, dtype=torch.bfloat16, device="cuda", memory_format=layout).normal_()
    parameters = torch.empty(
        (1, 2 * shape[1], *shape[2:]), dtype=torch.bfloat16, device="cuda", memory_format=layout
    ).fill_(0.25)
    with torch.no_grad():
        out, log_det = affine_packed(z, parameters)
    s = torch.tensor(0.25 / (1 + 0.25 / 2)).exp()
    for rows in (slice(0, 2), slice(2**15, 2**15 + 2), slice(-2, None)):
        expected = (z[:, :, rows].float() + 0.25) * s.cuda()
        torch.testing.assert_close(out[:, :, rows].float(), expected, rtol=2**-8, atol=1e-6)
    torch.testing.assert_close(log_det.item(), z.numel() * 0.25 / (1 + 0.25 / 2), rtol=1e-5, atol=0.0)
