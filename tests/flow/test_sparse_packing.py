"""Packed tensors: the same, to the last bit and in the same order in memory."""

from __future__ import annotations

import pytest
import torch

from flowkit.flow.sparse_packing import pack, packed_share, unpack
from flowkit.layers.saved_hidden import known


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_it_comes_back(dtype, channels_last):
    generator = torch.Generator().manual_seed(0)
    tensor = torch.randn(2, 5, 3, 7, generator=generator).relu().to(dtype)
    tensor[0, 0, 0, :3] = torch.tensor([float("nan"), -0.0, float("inf")])
    if channels_last:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    layout, values, bits = pack(tensor)
    again = unpack(layout, values, bits)
    word = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    assert again.dtype == dtype
    assert torch.equal(again.view(word), tensor.view(word))
    assert again.stride() == tensor.stride()
    zeros = float((tensor == 0).float().mean())
    assert (values.nbytes + bits.nbytes) / tensor.nbytes == pytest.approx(
        packed_share(dtype, zeros), rel=0.02
    )


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (1, 1, 1, 1)])
def test_little_and_nothing(shape):
    for tensor in (torch.zeros(shape), torch.ones(shape)):
        assert torch.equal(unpack(*pack(tensor)), tensor)


def test_a_slice_with_gaps_is_packed_without_them():
    tensor = torch.randn(2, 6, 4, 5)[:, ::2]
    assert torch.equal(unpack(*pack(tensor)), tensor)


@pytest.mark.parametrize("normalised", [False, True])
def test_gradients_through_what_is_known(normalised):
    generator = torch.Generator().manual_seed(1)
    x, weight = (torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    norm = [torch.randn(3, 1, 1, generator=generator, dtype=torch.float64) for _ in range(2 * normalised)]
    inputs = [tensor.requires_grad_() for tensor in (x, *norm)]

    def hidden(x, log_scale=None, bias=None):
        return (x if bias is None else (x + bias) * torch.exp(log_scale)).relu()

    wanted = torch.autograd.grad((weight * hidden(*inputs)).sum(), inputs)
    value = known(hidden(*inputs).detach(), x + 7, *norm)  # x itself is not needed
    assert torch.equal(value, hidden(*inputs))
    found = torch.autograd.grad((weight * value).sum(), inputs)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)
