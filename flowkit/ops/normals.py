"""Standard normal numbers from random bits, the same bits on every processor.

One bit of 32 is the sign. The other 31 are an integer m, from which the absolute value is the normal quantile
of 1 - p, with p = (m + 1/2) / 2^32. A table holds the quantile as quadratics, on 32 intervals of p for every
power of two; the first bits of m + 1/2 as a float32 are the number of the interval. The error is below 5e-7,
and the largest number 6.3.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from flowkit.errors import KernelError
from flowkit.ops.coupling_library import library
from flowkit.ops.kernels import policy, warn

_PARTS = 5  # bits of the mantissa that tell intervals apart
_REST = 23 - _PARTS  # bits that tell the place in an interval
_FIRST = int(np.float32(0.5).view(np.uint32)) >> _REST
_OCTAVES = 32


def normals(bits: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Return two numbers for each of these 64 random bits, (2 n,), by compiled code where there is some.

    Raises:
        KernelError: FLOWKIT_KERNELS is `require`, and there is no library, or a wrong one.
        FlowkitError: FLOWKIT_KERNELS has no valid value.
    """
    found = library()
    halves = bits.astype("<u8", copy=False).view("<u4")
    if found.path is None or not _right(found.path):
        return by_numpy(halves)
    return _compiled(np.ascontiguousarray(halves, np.uint32))


def by_numpy(bits: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Return a number for each of these 32 random bits."""
    constant, linear, square = _table()
    tail = (bits >> np.uint32(1)).astype(np.float32) + np.float32(0.5)
    pattern = tail.view(np.uint32)
    at = (pattern >> np.uint32(_REST)) - np.uint32(_FIRST)
    t = (pattern & np.uint32((1 << _REST) - 1)).astype(np.float32)
    z: NDArray[np.float32] = constant[at] + t * (linear[at] + t * square[at])
    return (z.view(np.uint32) ^ (bits << np.uint32(31))).view(np.float32)


def _compiled(bits: NDArray[np.uint32]) -> NDArray[np.float32]:
    out = np.empty(bits.size, np.float32)
    run = library().normals
    assert run is not None
    constant, linear, square = (part.ctypes.data for part in _table())
    run(bits.ctypes.data, bits.size, constant, linear, square, out.ctypes.data)
    return out


@functools.cache
def _table() -> NDArray[np.float32]:
    """Return the coefficients (3, intervals) of z by the place in an interval: constant, linear, square."""
    edges = (np.arange(_OCTAVES << _PARTS, dtype=np.uint32) + np.uint32(_FIRST)) << np.uint32(_REST)
    first = edges.view(np.float32).astype(np.float64)
    length = np.exp2(np.floor(np.log2(first))) / (1 << _PARTS)
    nodes = 0.5 - 0.5 * np.cos((np.arange(3) + 0.5) * np.pi / 3)  # Chebyshev's: the error is least
    p = (first[:, None] + length[:, None] * nodes) / 2.0**32
    z = -torch.special.ndtri(torch.from_numpy(p)).numpy()
    powers = np.vander(nodes * (1 << _REST), 3, increasing=True)
    found = np.linalg.solve(powers, z.T)
    zero = np.zeros((3, 1))  # p = 1/2
    return np.ascontiguousarray(np.concatenate([found, zero], axis=1), np.float32)


@functools.cache
def _right(path: Path) -> bool:
    """Return true if a library makes the same numbers as NumPy; warn if it does not.

    Raises:
        KernelError: it does not, and FLOWKIT_KERNELS is `require`.
    """
    bits = np.random.PCG64(0).random_raw(500).astype("<u8").view("<u4").astype(np.uint32)
    bits[:4] = 0, 1, 2**32 - 2, 2**32 - 1
    if np.array_equal(_compiled(bits), by_numpy(bits)):
        return True
    why = f"{path} makes wrong normal numbers"
    if policy() == "require":
        raise KernelError(why)
    warn(why)
    return False
