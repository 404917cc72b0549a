"""The exact likelihood of an image of a whole page, from windows that fit into memory.

log p(y | x) is a sum over cells, of log-scales and of squared latents, and a cell's term depends on what is
within the model's reach of it. If neighbouring windows A and B overlap by twice that reach, then

    log p(page) = log p(A) + log p(B) - log p(A and B's overlap),

because whatever the cut of A does to the terms near it, it does to those of the overlap as well. Along both
axes this makes a sum over products of windows and overlaps, with the products of their signs. What the whole
page has in common (`CommonFactor`) is known by two such sums.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from flowkit.layers.common_factor import Sums
from flowkit.pages.sampler import PageSampler
from flowkit.pages.tiles import Span, Tile


class Signed(NamedTuple):
    """A part of the page and its sign."""

    part: Tile
    sign: int


def parts(tiles: Sequence[Tile]) -> list[Signed]:
    """Yield windows of a page and their overlaps, from the top down; everywhere, their signs sum to 1."""
    rows, cols = (_signed(sorted(set(spans))) for spans in zip(*tiles, strict=True))
    return [Signed(Tile(row, col), a * b) for (row, a), (col, b) in itertools.product(rows, cols)]


def bits_per_dim(sampler: PageSampler, ink: NDArray[np.bool_], step: Callable[[], None]) -> float:
    """Return -log2 p(ink | page) per pixel, with dequantisation noise that is a function of seed and place.

    The page counts with its padding, whose ink is that of its edge.
    """
    height, width = (side * sampler.model.scale for side in sampler.padded)
    signed = parts(sampler.tiles)
    nats: dict[Tile, float] = {}
    sums: dict[Tile, Sums] = {}

    def score(part: Tile) -> None:
        window = tuple(slice(s.first * sampler.model.scale, s.last * sampler.model.scale) for s in part)
        piece = ink[window]
        missing = [(0, s.stop - s.start - have) for s, have in zip(window, piece.shape, strict=True)]
        y = torch.from_numpy(np.pad(piece, missing, mode="edge").astype(np.float32))
        nats[part], sums[part] = sampler.log_prob(part, y[None, None])
        step()

    sampler.share(score, list(dict.fromkeys(part for part, _ in signed)))
    for _ in range(len(signed) - len(nats)):  # of narrow pages, overlaps are equal
        step()
    total = math.fsum(sign * nats[part] for part, sign in signed)
    common = Sums()
    for part, sign in signed:
        common = common.plus(sums[part], sign)
    total += common.log_ratio()
    return -total / (math.log(2) * height * width)


def bits_of_views(
    samplers: Sequence[PageSampler],
    places: Sequence[tuple[slice, slice]],
    ink: NDArray[np.bool_],
    step: Callable[[], None],
) -> float:
    """Average `bits_per_dim` over views of a page, each of which fills its rows and columns of `ink`.

    A view that is the page enlarged has each pixel of `ink` several times; the bits of all are its own.
    """
    times = max(1, samplers[0].size[0] // ink.shape[0])
    large = ink.repeat(times, axis=0).repeat(times, axis=1) if times > 1 else ink
    pixels = [math.prod(sampler.padded) for sampler in samplers]
    bits = [bits_per_dim(one, large[place], step) for one, place in zip(samplers, places, strict=True)]
    return float(times**2 * np.average(bits, weights=pixels))


def _signed(spans: Sequence[Span]) -> list[tuple[Span, int]]:
    windows = [(span, 1) for span in spans]
    overlaps = [
        (Span(after.first, before.last, after.first, before.last), -1)
        for before, after in itertools.pairwise(spans)
    ]
    return sorted(windows + overlaps, key=lambda signed: (signed[0].first, signed[0].last))
