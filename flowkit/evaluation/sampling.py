"""Samples of whole pages, at several temperatures at once, and the density of their truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowkit.flow import ConditionalFlow
from flowkit.images.picture import Picture
from flowkit.pages.likelihood import bits_of_views
from flowkit.pages.phases import views
from flowkit.pages.sampler import PageSampler
from flowkit.pages.strokes import strokes
from flowkit.pages.tiles import Tile
from flowkit.pages.working_scale import working_scales
from flowkit.targets import Binary


def draw(
    flow: ConditionalFlow, picture: Picture, counts: Mapping[float, int], seed: int
) -> dict[float, NDArray[Any]]:
    """Draw the samples of each temperature, (N, C, H, W): bool for binary targets (True = ink), or float32.

    They are the samples of `PageSampler`; at temperature 0 there is only the image of z = 0.
    """
    binary = isinstance(flow.target, Binary)
    sampler = PageSampler(flow, picture, seed=seed, precision="auto")
    shape = (flow.target.channels, *sampler.size)
    drawn: dict[float, NDArray[Any]] = {
        t: np.empty((n, *shape), np.bool_ if binary else np.float32) for t, n in counts.items()
    }

    def work(tile: Tile) -> None:
        for temperature, pages in drawn.items():
            samples = range(len(pages)) if temperature else [None]
            pieces = sampler.draw(tile, samples, temperature)
            for page, (rows, cols, y) in zip(pages, pieces, strict=True):
                values = y.float().numpy()
                page[:, rows, cols] = values > 0.5 if binary else values

    sampler.share(work)
    return drawn


def negative_log_density(flow: ConditionalFlow, picture: Picture, ink: NDArray[np.bool_], seed: int) -> float:
    """Return -log p(ink | page) in nats, of all pixels together: an upper bound, by noise of this seed."""
    scale = working_scales(strokes(picture)).scales[0] if flow.scale == 1 else 1
    found = views(picture, scale)
    samplers = [PageSampler(flow, view.picture, seed=seed) for view in found]
    bits = bits_of_views(samplers, [(view.rows, view.cols) for view in found], ink, lambda: None)
    return bits * math.log(2) * ink.size
