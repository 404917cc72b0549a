"""A binarized page: its ink, its probabilities, and their files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowkit.files import write_json
from flowkit.images.dpi import Dpi
from flowkit.images.writer import write_heat, write_ink, write_picture
from flowkit.pages.counts import Component, Counts, components, counts
from flowkit.pages.decision import Sampling
from flowkit.pages.review import Review, review

Votes = NDArray[np.uint8] | NDArray[np.uint16]

COMPONENTS_VERSION = 1
"""The version of the files that `Page.save_components` writes."""


@dataclass(frozen=True)
class Page:
    """A binarized page of H x W pixels.

    What follows from samples alone is None where fewer than two were drawn. Memory: 1 byte per pixel for
    `binary`, 1 more for `votes` (2 beyond 255 samples), 1/8 per sample that was kept; all else is made when
    it is asked for.

    Attributes:
        binary: (H, W) bool, True = ink.
        sampling: what was drawn, and how it decided.
        votes: (H, W), by how many of the samples a pixel is ink; None if there were fewer than two.
        kept: (ceil(N / 8), H, W) uint8, the samples themselves, a bit for each; None if they were not kept.
        bits_per_dim: -log2 p(binary | page) per pixel, an upper bound, if it was asked for. Low where the
            model finds its answer obvious. At a working scale of k it is the mean over the k x k views of the
            page, taken as independent of each other; at 1/2 the bits of the page enlarged twice; of several
            scales, that of the first.
        dpi: dots per inch across and down, or None where the image did not say.
        notes: what its user should know about the page, one sentence each.
        scales: page pixels per pixel that the model saw, the page's main scale first.
        wrong: pixels that are probably wrong in each cell of 8 x 8, (rows, columns), where a note says that
            strokes are not in the result, or that most of it is ink; otherwise None.
    """

    binary: NDArray[np.bool_]
    sampling: Sampling
    votes: Votes | None = None
    kept: NDArray[np.uint8] | None = None
    bits_per_dim: float | None = None
    dpi: Dpi = None
    notes: tuple[str, ...] = ()
    scales: tuple[float, ...] = (1,)
    wrong: NDArray[np.float32] | None = None

    @property
    def probability(self) -> NDArray[np.float32] | None:
        """Return P(ink | page), (H, W) float32: the share of the samples in which a pixel is ink."""
        return None if self.votes is None else self._shares()[self.votes]

    @property
    def entropy(self) -> NDArray[np.float32] | None:
        """Return the entropy (H, W) float32, in bits: -p log2 p - (1 - p) log2 (1 - p), p = P(ink | page).

        0 where all samples agree, 1 where half of them do; of N samples it falls short of the model's own by
        1 / (2 N ln 2) bits on average, where the model is in doubt.
        """
        return None if self.votes is None else _entropy(self._shares()).astype(np.float32)[self.votes]

    @cached_property
    def mean_entropy(self) -> float | None:
        """Return the mean of `entropy`, in bits per pixel."""
        if self.votes is None:
            return None
        counts = sum(np.bincount(row, minlength=self.sampling.samples + 1) for row in self.votes)
        return float(counts @ _entropy(self._shares()) / self.votes.size)

    @cached_property
    def review(self) -> Review | None:
        """Return scores of the page and of its parts, by which to choose what to look at; see `Review`.

        None where neither samples nor the second look at the result tell anything.
        """
        if self.votes is None and self.wrong is None:
            return None
        votes, samples = (self.binary, 1) if self.votes is None else (self.votes, self.sampling.samples)
        return review(self.binary, votes, samples, self.dpi, self.wrong)

    @property
    def samples(self) -> NDArray[np.bool_] | None:
        """Return the samples (N, H, W) bool, if they were kept; see `sample` for one of them."""
        if self.kept is None:
            return None
        return np.stack([self.sample(index) for index in range(self.sampling.samples)])

    def sample(self, index: int) -> NDArray[np.bool_]:
        """Return one sample (H, W), counted from 0.

        Raises:
            ValueError: samples were not kept.
            IndexError: there are fewer.
        """
        kept = self._kept()
        if not 0 <= index < self.sampling.samples:
            raise IndexError(f"there are {self.sampling.samples} samples, got index {index}")
        bits: NDArray[np.bool_] = (kept[index // 8] >> (index % 8)) & 1 == 1
        return bits

    @cached_property
    def counts(self) -> Counts | None:
        """Return the spread over the samples of ink, components and stroke width, if they were kept."""
        return None if self.kept is None or self.votes is None else counts(self._each_sample())

    @cached_property
    def components(self) -> list[Component]:
        """Return the 8-connected components of all samples together, and how likely each of them is ink.

        Raises:
            ValueError: samples were not kept.
        """
        union: NDArray[np.bool_] = np.bitwise_or.reduce(self._kept(), 0) > 0
        return components(union, self._each_sample())

    def save(self, path: str | PathLike[str]) -> None:
        """Write the ink, black on white: .png, .tif, .pdf, .webp or .jp2; TIFF and PDF in CCITT
        Group 4, PNG in 1 bit. Keeps the dpi.

        Raises:
            OutputError: another suffix, or a place that cannot be written to; nothing half-written is left.
        """
        write_ink(path, self.binary, self.dpi)

    def save_probability(self, path: str | PathLike[str], bits: int = 8) -> None:
        """Write P(ink | page) as grey of 8 or 16 bits, white = ink for certain, to .png or .tif.

        Raises:
            ValueError: there was one sample only, or other bits.
            OutputError: as `save`.
        """
        if bits not in (8, 16):
            raise ValueError(f"bits must be 8 or 16, got {bits}")
        votes = self._voted()
        levels = np.rint((2**bits - 1) * self._shares().astype(np.float64))
        write_picture(path, levels.astype(np.uint8 if bits == 8 else np.uint16)[votes], self.dpi)

    def save_uncertainty(self, path: str | PathLike[str]) -> None:
        """Write the entropy as a heat map, from black (0 bits) over red and yellow to white (1 bit).

        The values of the palette image are the entropy in 255ths of a bit.

        Raises:
            ValueError: there was one sample only.
            OutputError: as `save`.
        """
        votes = self._voted()
        levels = np.rint(255 * _entropy(self._shares())).astype(np.uint8)
        write_heat(path, levels[votes], self.dpi)

    def save_samples(self, path: str | PathLike[str]) -> list[Path]:
        """Write every sample as `save` would, numbered from 1: page.png gives page-01.png, page-02.png, ...

        Raises:
            ValueError: samples were not kept.
            OutputError: as `save`.
        """
        path, count = Path(path), self.sampling.samples
        paths = [path.with_stem(f"{path.stem}-{i + 1:0{len(str(count))}}") for i in range(count)]
        for index, place in enumerate(paths):
            write_ink(place, self.sample(index), self.dpi)
        return paths

    def save_components(self, path: str | PathLike[str]) -> None:
        """Write `components` as JSON, see docs/reference/components_and_readings.md.

        Raises:
            ValueError: samples were not kept.
            OutputError: as `save`.
        """
        height, width = self.binary.shape
        size = {"width": width, "height": height, "samples": self.sampling.samples}
        found = [asdict(component) for component in self.components]
        write_json(path, {"version": COMPONENTS_VERSION, **size, "components": found})

    def _each_sample(self) -> Iterator[NDArray[np.bool_]]:
        return (self.sample(index) for index in range(self.sampling.samples))

    def _kept(self) -> NDArray[np.uint8]:
        if self.kept is None:
            raise ValueError("the samples were not kept; binarize(..., keep_samples=True) keeps them")
        return self.kept

    def _shares(self) -> NDArray[np.float32]:
        """Return P(ink) for every number of votes."""
        return np.arange(self.sampling.samples + 1, dtype=np.float32) / np.float32(self.sampling.samples)

    def _voted(self) -> Votes:
        if self.votes is None:
            raise ValueError("P(ink) is a share of samples; there was one only")
        return self.votes


def _entropy(p: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the entropy of a pixel that is ink with probability p, in bits."""
    both = np.stack([p, 1 - p]).astype(np.float64)
    bits: NDArray[np.float64] = -(both * np.log2(np.where(both > 0, both, 1))).sum(0)
    return bits
