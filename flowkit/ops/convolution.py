"""Convolutions on CPUs without gradients, some of them fused with the sum and the relu that follow.

oneDNN computes the fused ones in one pass over the result; plain torch needs two or three. They are the ops
of which `torch.compile` makes its programs for CPUs. Where they are missing or cannot serve, plain torch
computes the same.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkit.ops.tracing import transformed

DTYPES = (torch.float32, torch.bfloat16)
MOST_NARROW = 8  # channels whose convolution is better cut into rows


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
    if inputs.shape[1] == 1:  # torch could not tell channels last from planes, and oneDNN would refuse `plus`
        inputs, weight = (F.pad(tensor, (0, 0, 0, 0, 0, 1)) for tensor in (inputs, weight))
    fused, pointwise = _fused(inputs, plus), weight.shape[2:] == (1, 1)
    if pointwise and stride == 1 and padding == (0, 0):
        cells, matrix = inputs.permute(0, 2, 3, 1), weight[:, :, 0, 0]
        if fused and plus is None:
            out: Tensor = _ops()._linear_pointwise(cells, matrix, bias, "relu", [], "")
        else:
            out = F.linear(cells, matrix, bias)
            out = (out if plus is None else out.add_(plus.permute(0, 2, 3, 1))).relu_()
        return out.permute(0, 3, 1, 2)
    weight = weight.contiguous(memory_format=torch.channels_last)
    if not fused or pointwise:  # oneDNN refuses some sums of kernel 1
        out = F.conv2d(inputs, weight, bias, stride=stride, padding=padding)
        out = (out if plus is None else out.add_(plus)).relu_()
        return out.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)  # as `torch.func` knows it
    options = padding, (stride, stride), (1, 1), 1
    if plus is None:
        out = _ops()._convolution_pointwise(inputs, weight, bias, *options, "relu", [], "")
    else:
        plus = plus.expand(inputs.shape[0], -1, -1, -1)
        out = _ops()._convolution_pointwise.binary(
            inputs, plus, weight, bias, *options, "add", 1.0, "relu", [], ""
        )
    return out


def convolve_cells(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve in the dtype of the inputs, padded to keep the size; the result has its channels last."""
    weight, bias = weight.to(inputs.dtype), None if bias is None else bias.to(inputs.dtype)
    if weight.shape[2:] == (1, 1):
        return F.linear(inputs.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)
    weight = weight.contiguous(memory_format=torch.channels_last)
    return F.conv2d(inputs, weight, bias, padding=weight.shape[2] // 2)


def convolve_narrow(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute a 3x3 convolution to few channels, in half the time; in bfloat16 it would not be quicker.

    Processors compute 16 channels as fast as 4, so the kernel's three rows become channels of one 1x3
    convolution, whose planes are then added up, each shifted by its row.
    """
    rows = torch.cat(weight.unbind(2)).unsqueeze(2).to(inputs.dtype)
    planes = F.conv2d(inputs, rows.contiguous(memory_format=torch.channels_last), padding=(0, 1))
    above, out, below = planar(planes, weight.dtype).chunk(3, dim=1)
    out = out.clone() if bias is None else out + bias[:, None, None]
    out[:, :, 1:] += above[:, :, :-1]
    out[:, :, :-1] += below[:, :, 1:]
    return out


def planar(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Lay values out plane by plane, in this dtype."""
    return values.to(dtype, memory_format=torch.contiguous_format).contiguous()


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
