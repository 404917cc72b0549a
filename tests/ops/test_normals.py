"""Normal numbers from random bits, against the quantile in float64 and against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowkit.errors import KernelError
from flowkit.ops import coupling_library, normals
from flowkit.ops.coupling_library import Found, library

EDGES = np.array([0, 1, 2, 3, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], np.uint32)
SOME = np.random.PCG64(5).random_raw(20_000).astype("<u8").view("<u4").astype(np.uint32)
BITS = np.concatenate([EDGES, np.arange(5000, dtype=np.uint32), SOME])


@pytest.fixture
def compiled(monkeypatch):
    if library().normals is None:
        pytest.skip("no library for normal numbers (a C++ compiler, then: pip install -e .)")
    yield monkeypatch
    normals._right.cache_clear()


def test_it_is_the_quantile():
    tail = ((BITS >> 1).astype(np.float64) + 0.5) / 2.0**32
    expected = -torch.special.ndtri(torch.from_numpy(tail)).numpy() * np.where(BITS & 1, -1, 1)
    found = normals.by_numpy(BITS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-7)


def test_numbers_are_normal_and_independent():
    found = normals.normals(np.random.PCG64(1).random_raw(500_000)).astype(np.float64)
    for power, expected in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (6, 15.0)):
        spread = np.std(found**power) / 1000
        assert abs(np.mean(found**power) - expected) < 4 * spread
    assert abs(np.mean(found[0::2] * found[1::2])) < 4 / np.sqrt(500_000)  # of the same 64 bits


@pytest.mark.parametrize("count", [0, 1, 7, 16, 1000])
def test_compiled_numbers_are_the_same_bits(compiled, count):
    bits = np.random.PCG64(count).random_raw(count)
    expected = normals.by_numpy(bits.astype("<u8").view("<u4"))
    assert np.array_equal(normals.normals(bits), expected)
    assert np.array_equal(normals._compiled(BITS), normals.by_numpy(BITS))


def test_without_a_library_numpy_makes_them(monkeypatch):
    bits = np.random.PCG64(2).random_raw(50)
    expected = normals.normals(bits)
    monkeypatch.setattr(coupling_library, "_found", Found(None, None))
    assert np.array_equal(normals.normals(bits), expected)


def test_wrong_numbers_are_not_used(compiled, recwarn):
    wrong = library()._replace(path=library().path.with_name("wrong.so"), normals=lambda *_: None)
    compiled.setattr(coupling_library, "_found", wrong)
    compiled.setattr("flowkit.ops.kernels._warned", False)
    compiled.setattr("numpy.empty", np.zeros)
    bits = np.random.PCG64(3).random_raw(50)
    with pytest.warns(UserWarning, match=r"wrong.so makes wrong normal numbers"):
        assert np.array_equal(normals.normals(bits), normals.by_numpy(bits.astype("<u8").view("<u4")))
    normals._right.cache_clear()
    compiled.setenv("FLOWKIT_KERNELS", "require")
    with pytest.raises(KernelError, match=r"wrong.so makes wrong normal numbers"):
        normals.normals(bits)
