from __future__ import annotations

import numpy as np
import pytest
import torch

from flowkit.data.page_cache import SLABS, PageCache
from flowkit.data.tasks import Pair


def page(size: int, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    return Pair(f"page {seed}", rng.integers(0, 256, (size, 5, 3), np.uint8), rng.random((size, 5)) < 0.5)


def test_what_is_kept_comes_back():
    cache = PageCache(10_000)
    pairs = [page(7, 0), Pair("high", None, page(9, 1).image, ("box", "lanczos")), page(4, 2)]
    assert all(cache.put(n, pair) for n, pair in enumerate(pairs))
    for n, pair in enumerate(pairs):
        kept = cache.get(n)
        assert (kept.name, kept.kernels) == (pair.name, pair.kernels)
        assert np.array_equal(kept.target, pair.target)
        assert kept.target.dtype == pair.target.dtype
        assert (kept.image is None) == (pair.image is None)
        with pytest.raises(ValueError, match="read-only"):
            kept.target[0, 0] = 0
    assert np.array_equal(cache.get(0).image, pairs[0].image)
    assert cache.get(3) is None
    assert (len(cache), 2 in cache, 3 in cache) == (3, True, False)


def test_the_budget_is_kept():
    cache = PageCache(500)
    assert [cache.put(n, page(10, n)) for n in range(4)] == [True, True, False, False]  # 200 bytes each
    assert cache.put(4, page(5, 4))
    assert cache.used == 500
    assert sum(slab.numel() for slab in cache._slabs) <= 500
    assert not PageCache(0).put(0, page(1))


def test_the_memory_is_shared_and_in_few_blocks():
    cache = PageCache(1 << 27)
    for n in range(60):
        assert cache.put(n, page(20_000, n))
    assert all(slab.is_shared() for slab in cache._slabs)
    assert len(cache._slabs) < 8
    assert sum(slab.numel() for slab in cache._slabs) < 2 * cache.used + SLABS[0]
    assert np.array_equal(cache.get(59).image, page(20_000, 59).image)


def test_as_little_shared_memory_as_containers_have(monkeypatch):
    def full(self):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch>: No space left on device")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    cache = PageCache(1000)
    assert not cache.put(0, page(1))
    assert cache.get(0) is None
