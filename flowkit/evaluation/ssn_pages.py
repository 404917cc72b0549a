"""Samples of whole pages from Stochastic Segmentation Networks, as a contestant of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor

from flowkit.data import Page
from flowkit.evaluation.contestants import Outcome
from flowkit.evaluation.results import Entry
from flowkit.evaluation.ssn_baseline import STRIDE, Odds, StochasticSegmentation
from flowkit.images.picture import Picture
from flowkit.layers.features import dense
from flowkit.metrics.calibration import smoothed
from flowkit.pages.page_features import PageFeatures, StreamedFeatures, WindowFeatures
from flowkit.pages.tiles import Span, Tile, round_up, spans

ROWS = 256
"""Approximate number of rows of a page that are processed together."""

NODES = 15
"""Number of points of the quadrature over a pixel's own noise."""


class Drawn(NamedTuple):
    """Samples (N, H, W) of a page, and log p(truth | factors of each) in nats, (N,)."""

    samples: NDArray[np.bool_]
    log_p: NDArray[np.float64]


class Ssn:
    """A Stochastic Segmentation Network, scored with every number of samples from two on.

    A sample is ink where its log-odds are above 0, as in the paper, and its factors are drawn once for the
    page. -log p(truth | page) is estimated as -log mean_k p(truth | factors a_k), over the factors of the
    samples, with every pixel's own noise integrated out; its mean is an upper bound.

    Args:
        name: in the tables.
        model: the network.
        samples: numbers of samples of every page, rising.
        seed: of the samples.
    """

    notes = ()

    def __init__(self, name: str, model: StochasticSegmentation, samples: Sequence[int], seed: int) -> None:
        self.entries = tuple(Entry(name, None, n) for n in samples)
        self.model = model
        self.most = samples[-1]
        self.seed = seed

    def run(self, page: Page) -> Iterator[Outcome]:
        """Return one outcome for each entry; see `Contestant`."""
        assert page.ink is not None
        drawn = draw_page(self.model, page.picture, page.ink, self.most, self.seed)
        for entry in self.entries:
            n = entry.samples
            assert n is not None
            samples = drawn.samples[:n]
            votes = samples.sum(0, dtype=np.int32)
            nats = math.log(n) - float(logsumexp(drawn.log_p[:n]))
            yield Outcome(entry, 2 * votes >= n, smoothed(votes, n), samples, nats)


@torch.no_grad()
def draw_page(
    model: StochasticSegmentation, picture: Picture, truth: NDArray[np.bool_], count: int, seed: int
) -> Drawn:
    """Draw samples of a page, band by band; fewer samples are the first of more."""
    height, width = picture.size
    factors = np.random.default_rng(seed).standard_normal((count, model.head.rank))
    common = torch.from_numpy(factors.astype(np.float32))
    own = [np.random.default_rng([seed, k]) for k in range(1, count + 1)]
    found = Drawn(np.empty((count, height, width), np.bool_), np.zeros(count))
    for top, odds in _bands(model, picture):
        rows = slice(top, min(top + odds.mean.shape[2], height))
        mean, factor, deviation = (part[0, :, : rows.stop - top, :width] for part in odds)
        y = torch.from_numpy(truth[rows])
        for k in range(count):
            eta = mean[0] + torch.tensordot(common[k], factor, 1)
            noise = torch.from_numpy(own[k].standard_normal(eta.shape, np.float32))
            found.samples[k, rows] = (eta + deviation[0] * noise > 0).numpy()
            found.log_p[k] += float(log_probability(eta, deviation[0], y).double().sum())
    return found


def log_probability(mean: Tensor, deviation: Tensor, y: Tensor) -> Tensor:
    """Return log int Bernoulli(y; sigmoid(mean + deviation b)) N(b; 0, 1) db of every pixel.

    By Gauss-Hermite quadrature with `NODES` points.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    sign = torch.where(y, 1.0, -1.0)
    total = torch.zeros_like(mean)
    for node, weight in zip(nodes.tolist(), (weights / weights.sum()).tolist(), strict=True):
        total += weight * torch.sigmoid(sign * (mean + node * deviation))
    return total.clamp(min=torch.finfo(total.dtype).tiny).log()


def _bands(model: StochasticSegmentation, picture: Picture) -> Iterator[tuple[int, Odds]]:
    """Yield the first row of every band of the page, and its log-odds."""
    encoder = model.encoder
    multiple = math.lcm(encoder.multiple, STRIDE)
    height, width = (round_up(side, multiple) for side in picture.size)

    def window(rows: Span, cols: Span) -> Tensor:
        return picture.window(
            slice(rows.first, rows.last), slice(cols.first, cols.last), encoder.in_channels
        ).contiguous(memory_format=torch.channels_last)

    streamed = encoder.stream() is not None
    features: PageFeatures = (
        StreamedFeatures(encoder, height, width, window) if streamed else WindowFeatures(encoder, window)
    )
    margin, step = (0, multiple) if streamed else (encoder.reach, math.lcm(encoder.grid, multiple))
    for rows in spans(height, count=max(1, height // max(ROWS, step)), margin=margin, step=step):
        found = dense(features.of(Tile(rows, Span(0, width, 0, width)))[STRIDE])
        core = slice((rows.start - rows.first) // STRIDE, (rows.stop - rows.first) // STRIDE)
        yield rows.start, model.head(found[:, :, core])
