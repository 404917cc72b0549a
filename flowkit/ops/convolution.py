"""Convolutions on CPUs without gradients, fused with the sum and the relu that follow them.

oneDNN computes these in one pass over the result; plain torch needs two or three. The ops are those of which
`torch.compile` makes its programs for CPUs. Where they are missing or cannot serve, plain torch computes the
same.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkit.ops.tracing import transformed

DTYPES = (torch.float32, torch.bfloat16)


def convolve_relu(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    plus: Tensor | None = None,
) -> Tensor:
    """Compute relu(convolution(inputs) + plus) in the dtype of the inputs, with channels last.

    Args:
        inputs: (B, C, H, W).
        weight: (O, C, k, l), in any dtype.
        bias: (O,), in any dtype.
        stride: in both directions.
        padding: zeros above and below, and at the left and right.
        plus: (B, O, H', W'), or (1, O, H', W') for all; it stays as it is.
    """
    weight, bias = weight.to(inputs.dtype), None if bias is None else bias.to(inputs.dtype)
    fused = _fused(inputs, plus)
    if weight.shape[2:] == (1, 1) and stride == 1 and padding == (0, 0):
        cells, matrix = inputs.permute(0, 2, 3, 1), weight[:, :, 0, 0]
        if fused and plus is None:
            out: Tensor = _ops()._linear_pointwise(cells, matrix, bias, "relu", [], "")
        else:
            out = F.linear(cells, matrix, bias)
            out = (out if plus is None else out.add_(plus.permute(0, 2, 3, 1))).relu_()
        return out.permute(0, 3, 1, 2)
    weight = weight.contiguous(memory_format=torch.channels_last)
    if not fused:
        out = F.conv2d(inputs, weight, bias, stride=stride, padding=padding)
        return (out if plus is None else out.add_(plus)).relu_()
    options = padding, (stride, stride), (1, 1), 1
    if plus is None:
        out = _ops()._convolution_pointwise(inputs, weight, bias, *options, "relu", [], "")
    else:
        plus = plus.expand(inputs.shape[0], -1, -1, -1)
        out = _ops()._convolution_pointwise.binary(
            inputs, plus, weight, bias, *options, "add", 1.0, "relu", [], ""
        )
    return out


def _ops() -> Any:
    return torch.ops.mkldnn


def _fused(*tensors: Tensor | None) -> bool:
    """Return whether oneDNN's fused ops serve these: plain tensors on a CPU, with something in them."""
    if torch.compiler.is_compiling():
        return False  # the compiler fuses by itself
    given = [tensor for tensor in tensors if tensor is not None]
    return (
        all(type(tensor) is Tensor and tensor.device.type == "cpu" and tensor.numel() for tensor in given)
        and given[0].dtype in DTYPES
        and not transformed()
        and _available()
    )


@functools.cache
def _available() -> bool:
    names = "_convolution_pointwise", "_linear_pointwise"
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return there and all(hasattr(torch.ops.mkldnn, name) for name in names)
