"""Samples of whole pages, at several temperatures at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowkit.flow import ConditionalFlow
from flowkit.pages.reading import Picture
from flowkit.pages.sampling import PageSampler
from flowkit.targets import Binary


def draw(
    flow: ConditionalFlow, picture: Picture, counts: Mapping[float, int], seed: int
) -> dict[float, NDArray[Any]]:
    """For each temperature as many samples as it counts, (N, C, H, W): boolean, True = ink, of binary
    targets, otherwise float32.

    The page is conditioned once. Samples are what `PageSampler` gives for each temperature by itself.
    """
    binary = isinstance(flow.target, Binary)
    height, width = (side * flow.scale for side in picture.size)
    shape = (flow.target.channels, height, width)
    samplers = {t: PageSampler(flow, picture, tile=None, temperature=t, seed=seed) for t in counts}
    drawn: dict[float, NDArray[Any]] = {
        t: np.empty((n, *shape), np.bool_ if binary else np.float32) for t, n in counts.items()
    }
    first = next(iter(samplers.values()))
    for tile in first.tiles:
        p = first.condition(tile)
        for temperature, sampler in samplers.items():
            for sample in range(counts[temperature]):
                rows, cols, y = sampler.draw(p, tile, sample)
                values = y.float().numpy()
                drawn[temperature][sample, :, rows, cols] = values > 0.5 if binary else values
        del p  # before the next tile's is made
    return drawn
