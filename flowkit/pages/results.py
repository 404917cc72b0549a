"""The results of a page while it is drawn: the decision at temperature 0, the votes, and the samples kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowkit.pages.decision import Sampling


@dataclass(frozen=True)
class Results:
    """Arrays of a page, or views of them that fill every k-th pixel.

    Attributes:
        binary: (H, W) bool, the image of z = 0, where it decides.
        votes: (H, W), by how many samples a pixel is ink; None without samples.
        kept: (ceil(N / 8), H, W) uint8, the samples, a bit for each; None if they are not kept.
    """

    binary: NDArray[np.bool_]
    votes: NDArray[np.uint8] | NDArray[np.uint16] | None
    kept: NDArray[np.uint8] | None

    @classmethod
    def blank(cls, size: tuple[int, ...], sampling: Sampling, *, keep: bool) -> Results:
        """Make arrays without ink."""
        count = sampling.samples
        votes = np.zeros(size, np.uint8) if count < 256 else np.zeros(size, np.uint16)
        return cls(
            np.zeros(size, bool),
            votes if count else None,
            np.zeros((-(-count // 8), *size), np.uint8) if keep and count else None,
        )

    @property
    def nbytes(self) -> int:
        """Return the size of all arrays in bytes."""
        return sum(array.nbytes for array in self._arrays())

    def every(self, rows: slice, cols: slice) -> Results:
        """Return views of these rows and columns."""
        return Results(
            self.binary[rows, cols],
            None if self.votes is None else self.votes[rows, cols],
            None if self.kept is None else self.kept[:, rows, cols],
        )

    def add(self, sample: int | None, rows: slice, cols: slice, ink: NDArray[np.bool_]) -> None:
        """Add a piece of a sample, counted from 0, or of the image of z = 0 (None)."""
        if sample is None:
            self.binary[rows, cols] = ink
            return
        assert self.votes is not None
        self.votes[rows, cols] += ink
        if self.kept is not None:
            self.kept[sample // 8, rows, cols] |= ink.astype(np.uint8) << (sample % 8)

    def halved(self) -> Results:
        """Return results of half the size: of four pixels two must be ink, and votes are their mean."""
        votes: NDArray[Any] | None = None
        kept: NDArray[np.uint8] | None = None
        if self.votes is not None:
            votes = ((_fours(self.votes) + 2) // 4).astype(self.votes.dtype)
        if self.kept is not None:
            kept = np.zeros((len(self.kept), *(n // 2 for n in self.binary.shape)), np.uint8)
            for bit in range(8):
                for own, sample in zip(kept, self.kept, strict=True):
                    own |= (_fours(sample >> bit & 1) >= 2).astype(np.uint8) << bit
        return Results(_fours(self.binary) >= 2, votes, kept)

    def take(self, other: Results, rows: slice, cols: slice, mask: NDArray[np.bool_] | bool) -> None:
        """Take over another's pixels where `mask` (rows, cols) is true."""
        here = self.every(rows, cols)
        for mine, theirs in zip(here._arrays(), other._arrays(), strict=True):
            np.copyto(mine, theirs, where=mask)

    def more_than(self, other: Results) -> NDArray[np.bool_]:
        """Tell where a pixel is ink in more of these samples than in another's."""
        more = self.binary & ~other.binary
        if self.votes is not None and other.votes is not None:
            more |= (self.binary == other.binary) & (self.votes > other.votes)
        return more

    def set(self, rows: slice, where: NDArray[np.bool_], ink: bool, samples: int) -> None:
        """Make pixels ink, or paper, in the decision and in all samples."""
        self.binary[rows][where] = ink
        if self.votes is not None:
            self.votes[rows][where] = samples if ink else 0
        if self.kept is not None:
            for first, plane in zip(range(0, samples, 8), self.kept, strict=True):
                plane[rows][where] = (1 << min(8, samples - first)) - 1 if ink else 0

    def turn(self, where: NDArray[np.bool_], samples: int) -> None:
        """Make ink paper and paper ink, in the decision and in all samples."""
        self.binary[where] ^= True
        if self.votes is not None:
            self.votes[where] = samples - self.votes[where]
        if self.kept is not None:
            for first, plane in zip(range(0, samples, 8), self.kept, strict=True):
                plane[where] ^= (1 << min(8, samples - first)) - 1

    def _arrays(self) -> list[NDArray[Any]]:
        return [array for array in (self.binary, self.votes, self.kept) if array is not None]

    def decided(self, sampling: Sampling) -> NDArray[np.bool_]:
        """Return the ink that the image of z = 0 says, or enough votes."""
        if sampling.threshold is not None:
            assert self.votes is not None
            np.greater_equal(self.votes, sampling.needed(), out=self.binary)
        return self.binary


def _fours(a: NDArray[Any]) -> NDArray[np.int64]:
    """Sum squares of 2 x 2 pixels, (2 H, 2 W) -> (H, W)."""
    height, width = a.shape
    sums: NDArray[np.int64] = a.reshape(height // 2, 2, width // 2, 2).sum((1, 3), dtype=np.int64)
    return sums
