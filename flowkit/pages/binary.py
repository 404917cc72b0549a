"""Pages to ink: the most likely binary image of a page, or samples of it and what they agree on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from flowkit.checkpoint import load
from flowkit.errors import CheckpointError
from flowkit.flow import ConditionalFlow
from flowkit.pages.reading import MAX_PIXELS, ImageLike, read
from flowkit.pages.resolution import Dpi
from flowkit.pages.sampling import PageSampler
from flowkit.pages.writing import write_grey, write_ink
from flowkit.targets import Binary


@dataclass(frozen=True)
class Page:
    """A binarized page.

    Attributes:
        binary: (H, W) bool, True = ink. Of several samples, what at least half of them say.
        probability: (H, W) float32, the share of the samples in which a pixel is ink: P(ink | page). None if
            there was one sample only.
        dpi: dots per inch across and down, or None where the image did not say.
        notes: what its user should know about the reading of the image, one sentence each.
    """

    binary: NDArray[np.bool_]
    probability: NDArray[np.float32] | None
    dpi: Dpi
    notes: tuple[str, ...] = ()

    def save(self, path: str | PathLike[str]) -> None:
        """Write the ink, black on white: .png, .tif, .pdf, .webp or .jp2; TIFF and PDF in CCITT
        Group 4, PNG in 1 bit. Keeps the dpi.

        Raises:
            OutputError: another suffix, or a place that cannot be written to; nothing half-written is left.
        """
        write_ink(path, self.binary, self.dpi)

    def save_probability(self, path: str | PathLike[str]) -> None:
        """Write P(ink | page) as 8-bit grey, 255 = ink for certain, to .png or .tif.

        Raises:
            ValueError: there was one sample only.
            OutputError: as `save`.
        """
        if self.probability is None:
            raise ValueError("P(ink) is a share of samples; there was one only")
        write_grey(path, np.rint(255 * self.probability).astype(np.uint8), self.dpi)


def binarize(
    image: ImageLike,
    *,
    model: str | PathLike[str] | ConditionalFlow = "binarize",
    temperature: float | None = None,
    samples: int = 1,
    seed: int = 0,
    tile: int | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[int, int], None] | None = None,
) -> Page:
    """Tell ink from paper, on a page of any size.

    By default the model's central image (temperature 0): the same on every run. With `samples`, the page is
    drawn that often from p(ink | page), and the share of samples is each pixel's probability.

    Args:
        image: a file, a Pillow image, or an array or tensor of (H, W), (H, W, 3) or (3, H, W).
        model: a model that ships with the package, a checkpoint, or a flow with a binary target.
        temperature: standard deviation of the latents, 0 or more; by default 0 for one sample, 1 for more.
        samples: 1 or more.
        seed: of the latents, 0 or more; the same seed gives the same page.
        tile: side in image pixels of the pieces that are worked on one at a time, by default as large as 2 GB
            of memory allow. Less needs less memory and more time, for the same result.
        max_pixels: files that hold more are refused before they are decoded.
        progress: called with the steps done and the steps in all; a tile takes one, and one per sample.

    Raises:
        ImageError: the image cannot be read.
        CheckpointError: the model cannot be loaded, or its target is not binary.
        ValueError: an argument is out of its range, or many samples are wanted at temperature 0.
    """
    temperature = check_sampling(temperature, samples, seed)
    if tile is not None and tile < 1:
        raise ValueError(f"tile must be 1 or more, got {tile}")
    picture = read(image, max_pixels=max_pixels)
    flow = load_binary(model)
    height, width = (side * flow.scale for side in picture.size)
    sampler = PageSampler(flow, picture, tile=tile, temperature=temperature, seed=seed)
    votes = np.zeros((height, width), np.int32)
    done, total = 0, len(sampler.tiles) * (1 + samples)

    def step(steps: int) -> None:
        nonlocal done
        done += steps
        if progress is not None:
            progress(done, total)

    step(0)
    for part in sampler.tiles:
        p = sampler.condition(part)
        step(1)
        for sample in range(samples):
            rows, cols, y = sampler.draw(p, part, sample)
            votes[rows, cols] += (y[0] > 0.5).numpy()
            step(1)
        del p  # before the next tile's is made: it is most of the memory in use
    return Page(
        binary=2 * votes >= samples,
        probability=votes.astype(np.float32) / np.float32(samples) if samples > 1 else None,
        dpi=None if picture.dpi is None else (picture.dpi[0] * flow.scale, picture.dpi[1] * flow.scale),
        notes=picture.notes,
    )


def check_sampling(temperature: float | None, samples: int, seed: int) -> float:
    """The temperature to sample at. Raises ValueError for what `binarize` cannot use."""
    if samples < 1:
        raise ValueError(f"samples must be 1 or more, got {samples}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if temperature is None:
        return 0.0 if samples == 1 else 1.0
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be a number of 0 or more, got {temperature}")
    if temperature == 0 and samples > 1:
        raise ValueError(
            f"{samples} samples at temperature 0 are all the same; expected a temperature above 0"
        )
    return temperature


def load_binary(model: str | PathLike[str] | ConditionalFlow) -> ConditionalFlow:
    """The flow itself, or the one that a name or a checkpoint stands for; its target must be binary.

    Raises:
        CheckpointError: it cannot be loaded, or has another target.
    """
    if isinstance(model, ConditionalFlow):
        flow, name = model, "the model"
    else:
        flow, name = load(model), f"model {model}"
    if not isinstance(flow.target, Binary) or flow.target.channels != 1:
        kind = type(flow.target).__name__.lower()
        raise CheckpointError(
            f"{name}: its target is {kind} with {flow.target.channels} channel(s), expected binary with 1"
        )
    return flow
