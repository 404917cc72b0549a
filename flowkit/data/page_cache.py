"""Decoded pages in memory that processes share, within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowkit.data.tasks import Kernel, Pair, Sheet

# Pages lie in few blocks, because each block costs every process a file descriptor. The first are small,
# because a small set should not take much memory.
SLABS = (1 << 20, 1 << 26)


@dataclass(frozen=True)
class _Place:
    """The place of an array: bytes [start, stop) of a slab."""

    slab: int
    start: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class _Kept:
    """A `Pair` whose arrays lie in slabs."""

    name: str
    image: _Place | None
    target: _Place
    kernels: tuple[Kernel, ...]


@dataclass
class PageCache:
    """Pairs by number, in shared memory: worker processes, forked or spawned, see them without a copy.

    Filled before the workers start, and only read by them. The memory has no name, so that it is gone with
    the last process that uses it, however that ends.

    Args:
        budget: most bytes that pages may take; what does not fit is not kept.

    Attributes:
        used: bytes that pages take.
    """

    budget: int
    used: int = 0
    _slabs: list[Tensor] = field(default_factory=list, repr=False)
    _free: list[int] = field(default_factory=list, repr=False)  # per slab: where its free end starts
    _pages: dict[int, _Kept] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self._pages)

    def __contains__(self, number: int) -> bool:
        return number in self._pages

    def put(self, number: int, pair: Pair) -> bool:
        """Keep a page if it fits; return true if it did."""
        arrays = [pair.target] if pair.image is None else [pair.image, pair.target]
        size = sum(array.nbytes for array in arrays)
        if self.used + size > self.budget or not self._room(size):
            return False
        places = [self._write(array) for array in arrays]
        image = None if pair.image is None else places[0]
        self._pages[number] = _Kept(pair.name, image, places[-1], pair.kernels)
        return True

    def get(self, number: int) -> Pair | None:
        """Return a page that was kept; its arrays are read-only views."""
        if number not in self._pages:
            return None
        kept = self._pages[number]
        image = None if kept.image is None else self._read(kept.image)
        return Pair(kept.name, image, self._read(kept.target), kept.kernels)

    def _room(self, size: int) -> bool:
        """Return true if the last slab has `size` bytes left, or a new one could be made."""
        if self._slabs and self._free[-1] + size <= self._slabs[-1].numel():
            return True
        left = self.budget - sum(slab.numel() for slab in self._slabs)
        if left < size:
            return False
        try:
            length = max(size, min(left, max(SLABS[0], min(self.used, SLABS[1]))))
            slab = torch.empty(length, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]
        except RuntimeError:  # as little shared memory as containers have by default
            return False
        self._slabs.append(slab)
        self._free.append(0)
        return True

    def _write(self, array: NDArray[np.generic]) -> _Place:
        start = self._free[-1]
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self._slabs[-1].numpy()[start : start + flat.size] = flat
        self._free[-1] += flat.size
        self.used += flat.size
        return _Place(len(self._slabs) - 1, start, array.shape, array.dtype.str)

    def _read(self, place: _Place) -> NDArray[np.uint8]:
        dtype = np.dtype(place.dtype)
        stop = place.start + int(np.prod(place.shape)) * dtype.itemsize
        array = self._slabs[place.slab].numpy()[place.start : stop].view(dtype).reshape(place.shape)
        array.flags.writeable = False
        return array


@dataclass(frozen=True)
class Pages:
    """Pages by number, from the cache or decoded again.

    Attributes:
        sheets: the pages.
        cache: holds some of them.
    """

    sheets: Sequence[Sheet]
    cache: PageCache

    def read(self, number: int) -> Pair:
        """Return a page, without an image if it is made from the target.

        Raises:
            DataError: its file has changed since it was checked.
        """
        kept = self.cache.get(number)
        return self.sheets[number].read() if kept is None else kept


class WholePages(Sequence[Pair]):
    """Some of the pages with their images, decoded at each access.

    Args:
        pages: all pages.
        numbers: of those that are meant.
        scale: target pixels per image pixel.
    """

    def __init__(self, pages: Pages, numbers: Sequence[int], scale: int) -> None:
        self.pages = pages
        self.numbers = tuple(numbers)
        self.scale = scale

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Pair:  # type: ignore[override]  # no slices
        return self.pages.read(self.numbers[index]).whole(self.scale)
