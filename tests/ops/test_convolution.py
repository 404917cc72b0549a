"""Fused convolutions against plain ones in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from flowkit.ops import convolution
from flowkit.ops.convolution import convolve_relu
from flowkit.ops.tracing import transformed

CASES = [
    # channels in and out, kernel, stride, padding
    (2, 32, (3, 3), 1, (1, 1)),
    (27, 31, (3, 3), 1, (0, 1)),
    (32, 48, (3, 3), 2, (0, 1)),
    (1, 32, (3, 3), 1, (1, 1)),
    (1, 1, (3, 3), 1, (1, 1)),
    (3, 1, (3, 3), 1, (1, 1)),
    (5, 7, (1, 1), 1, (0, 0)),
    (1, 6, (1, 1), 1, (0, 0)),
    (6, 5, (1, 1), 2, (0, 0)),
    (32, 12, (1, 3), 1, (0, 1)),
]


@pytest.fixture(params=["fused", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "plain":
        monkeypatch.setattr(convolution, "_available", lambda: False)
    elif not convolution._available():
        pytest.skip("this torch has no oneDNN")
    return request.param


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("inner", "outer", "kernel", "stride", "padding"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("layout", ["planar", "channels last", "slice"])
def test_the_same_as_plain_torch(
    inner: int,
    outer: int,
    kernel: Any,
    stride: int,
    padding: Any,
    dtype: torch.dtype,
    images: int,
    layout: str,
) -> None:
    torch.manual_seed(0)
    x = torch.randn(images, inner, 9, 14)
    if layout != "planar":
        x = x.contiguous(memory_format=torch.channels_last)
    if layout == "slice":
        x = x[:, :, 2:8, 1:]
    x = x.to(dtype)
    weight = torch.randn(outer, inner, *kernel).to(dtype).float()
    bias = torch.randn(outer).to(dtype).float()
    wanted = F.conv2d(x.double(), weight.double(), bias.double(), stride=stride, padding=padding)
    more = torch.randn(1, outer, *wanted.shape[2:]).to(dtype)
    near = {"atol": 1e-4, "rtol": 1e-4} if dtype == torch.float32 else {"atol": 0.1, "rtol": 0.02}
    for plus in (None, more, more.contiguous(memory_format=torch.channels_last)):
        kept = more.clone()
        found = convolve_relu(x, weight, bias, stride=stride, padding=padding, plus=plus)
        assert found.dtype == dtype
        assert found.is_contiguous(memory_format=torch.channels_last)
        exact = torch.relu(wanted if plus is None else wanted + plus.double())
        torch.testing.assert_close(found.double(), exact, **near)
        assert torch.equal(more, kept)


def test_what_transforms_or_exports_sees_plain_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("a fused op")

    weight = torch.randn(3, 2, 3, 3)

    def run(x: torch.Tensor) -> torch.Tensor:
        assert transformed()
        return convolve_relu(x, weight, padding=(1, 1))

    monkeypatch.setattr(convolution, "_ops", refuse)
    with torch.no_grad():
        many = torch.func.vmap(run)(torch.randn(4, 1, 2, 5, 6))
    assert many.shape == (4, 1, 3, 5, 6)
    assert not transformed()


def test_float64_and_nothing_are_served() -> None:
    weight = torch.randn(3, 2, 3, 3, dtype=torch.float64)
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(convolve_relu(x, weight), torch.relu(F.conv2d(x, weight)))
    assert convolve_relu(torch.empty(0, 2, 5, 6), weight).shape == (0, 3, 3, 4)
