"""Compact storage of tensors with many zeros: the other values, and one bit for each place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes: NumPy has no bfloat16


class Layout(NamedTuple):
    """The memory layout of a tensor without gaps."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype


def pack(tensor: Tensor) -> tuple[Layout, Tensor, Tensor]:
    """Pack a CPU tensor of 2, 4 or 8-byte floats: return its layout, the values other than 0, and bits.

    NumPy does it, several times as fast as PyTorch's `masked_select`.

    >>> layout, values, bits = pack(torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 5.0]]))
    >>> values.view(torch.float32), bits
    (tensor([3., 5.]), tensor([68], dtype=torch.uint8))
    >>> unpack(layout, values, bits)
    tensor([[0., 3., 0.],
            [0., 0., 5.]])
    """
    if not tensor.is_contiguous() and not tensor.is_contiguous(memory_format=torch.channels_last):
        tensor = tensor.contiguous()
    layout = Layout(tensor.shape, tensor.stride(), tensor.dtype)
    words = tensor.detach().as_strided((tensor.numel(),), (1,)).view(_WORDS[tensor.element_size()]).numpy()
    there = words != 0
    return layout, torch.from_numpy(words.compress(there)), torch.from_numpy(np.packbits(there))


def unpack(layout: Layout, values: Tensor, bits: Tensor) -> Tensor:
    """Return the packed tensor, to the last bit."""
    words = np.zeros(layout.shape.numel(), values.numpy().dtype)
    there = np.unpackbits(bits.numpy(), count=words.size).view(
        bool
    )  # of which NumPy is quicker to find indices
    words[np.flatnonzero(there)] = values.numpy()
    return torch.from_numpy(words).view(layout.dtype).as_strided(layout.shape, layout.stride)


def packed_share(dtype: torch.dtype, zeros: float) -> float:
    """Return the bytes of a packed tensor with a share of zeros, relative to those of the tensor.

    >>> packed_share(torch.float32, zeros=0.5)
    0.53125
    """
    return 1 - zeros + 1 / (8 * dtype.itemsize)
