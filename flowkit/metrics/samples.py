"""Scores of samples of a page against its truth: how far whole readings are right, not pixels one by one.

x_1 to x_N are samples of a page, y its truth, all of them boolean. Scores are of the distribution that the
samples come from: the means over pairs leave out a sample with itself, so that 16 and 64 samples of one model
are expected to score the same (Ferro, Q. J. R. Meteorol. Soc. 140, 2014). Less is better, 0 is best.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.errors import DataError
from flowkit.metrics.calibration import Floats, Forecast
from flowkit.metrics.components import Ink

SIDE = 64
"""Side of a tile in pixels: a word or two."""

ORDER = 0.5
"""Order of the variogram, as Scheuerer and Hamill suggest."""

FARTHEST = 6
"""Tiles further apart than this, in rows or columns, do not count in the variogram."""

_EIGHT = np.ones((3, 3), int)


def overlaps(samples: Ink, truth: Ink, side: int = SIDE) -> NDArray[np.int64]:
    """Count the pixels that are ink in both of every two images, tile by tile.

    Args:
        samples: (N, H, W), two or more.
        truth: (H, W).
        side: of the tiles, which are counted row by row; those at the end are smaller.

    Returns:
        (rows, columns, N + 1, N + 1); the truth comes last. On the diagonal there is every image's own
        ink, and o_ii + o_jj - 2 o_ij pixels of i and j differ.

    Raises:
        DataError: shapes that differ, a single sample, or no pixels.
    """
    if samples.ndim != 3 or samples.shape[1:] != truth.shape or len(samples) < 2 or not truth.size:
        raise DataError(
            f"expected two or more samples of the truth's shape, got {samples.shape} and {truth.shape}"
        )
    rows, cols = (range(0, n, side) for n in truth.shape)
    found = np.empty((len(rows), len(cols), len(samples) + 1, len(samples) + 1), np.int64)
    for (i, top), (j, left) in ((a, b) for a in enumerate(rows) for b in enumerate(cols)):
        window = np.s_[top : top + side, left : left + side]
        flat = np.concatenate([samples[:, *window], truth[None, *window]]).reshape(len(samples) + 1, -1)
        flat = flat.astype(np.float32)  # sums of ones, exact below 2^24
        found[i, j] = flat @ flat.T
    return found


def energy_score(overlap: NDArray[np.int64]) -> float:
    """Return the energy score of (..., N + 1, N + 1) overlaps: the mean over `...` of

        mean_i |x_i - y| - 1/2 mean_(i != j) |x_i - x_j|,   |x - y| = sqrt(number of pixels that differ).

    |.| is the Euclidean norm, so that the score is strictly proper among all joint distributions of the
    pixels (Gneiting and Raftery, JASA 102, 2007, section 4.3; Székely and Rizzo, J. Stat. Plan. Inference
    143, 2013). The number itself, without its root, would see no more than every pixel's own P(ink).

    >>> stroke, paper = np.ones((1, 9), bool), np.zeros((1, 9), bool)
    >>> energy_score(overlaps(np.stack([stroke, paper, paper, paper]), paper))
    0.0
    """
    return float(np.mean(_fair(np.sqrt(_different(overlap)))))


def energy_distance(overlap: NDArray[np.int64]) -> float:
    """Return the generalised energy distance to the truth, of (N + 1, N + 1) overlaps of a page,

        2 mean_i d(x_i, y) - mean_(i != j) d(x_i, x_j),   d = 1 - |x and y| / |x or y|,

    d = 0 of two images without ink (Székely and Rizzo, 2013; of segmentations Kohl et al., NeurIPS 2018).
    There is one truth, whose distance to itself is 0. d is of negative type, so that the score is proper.
    """
    own = np.diagonal(overlap, axis1=-2, axis2=-1)
    either = own[..., :, None] + own[..., None, :] - overlap
    return float(2 * _fair(np.where(either > 0, 1 - overlap / np.maximum(either, 1), 0.0)))


def variogram_score(ink: Floats, truth: Floats) -> float:
    """Return the variogram score of order p = `ORDER` of shares of ink of tiles,

        sum_ij w_ij (|y_i - y_j|^p - mean_k |x_ki - x_kj|^p)^2,

    over pairs of tiles that are at most `FARTHEST` apart, w_ij their reciprocal distance, divided by the sum
    of all w_ij (Scheuerer and Hamill, Mon. Weather Rev. 143, 2015). It is proper, and sees whether tiles have
    too much or too little ink together. The variance of the mean over samples is taken off the square.

    Args:
        ink: (N, rows, columns), of samples.
        truth: (rows, columns).
    """
    total, weights = 0.0, 0.0
    rows, cols = truth.shape
    for down in range(min(FARTHEST + 1, rows)):
        for right in range(-min(FARTHEST, cols - 1), min(FARTHEST, cols - 1) + 1):
            if (down, right) <= (0, 0):
                continue
            here = np.s_[..., : rows - down, max(0, -right) : cols - max(0, right)]
            there = np.s_[..., down:, max(0, right) : cols - max(0, -right)]
            drawn, true = (np.abs(a[here] - a[there]) ** ORDER for a in (ink, truth))
            squares = (true - drawn.mean(0)) ** 2 - drawn.var(0, ddof=1) / len(ink)
            weight = 1 / math.hypot(down, right)
            total += weight * float(squares.sum())
            weights += weight * squares.size
    return total / weights if weights else 0.0


def components_forecast(samples: Ink, truth: Ink) -> Forecast | None:
    """Return P(it is ink), and whether it is, of every 8-connected component of the samples' union.

    A component is ink in a sample, or in the truth, if at least half of its pixels are; its probability is
    the share of samples in which it is. None if no sample has ink.

    >>> samples = np.array([[list("##.#")], [list("##..")], [list("##..")], [list("....")]]) == "#"
    >>> components_forecast(samples, np.array([list("#...")]) == "#")
    Forecast(p=array([0.25, 0.75]), total=array([1, 1]), ink=array([0, 1]))
    """
    union = samples.any(0)
    labels, count = ndimage.label(union, _EIGHT)
    if not count:
        return None
    place = labels[union]
    size = np.bincount(place, minlength=count + 1)[1:]

    def is_ink(image: Ink) -> NDArray[np.bool_]:
        inside = np.bincount(place[image[union]], minlength=count + 1)[1:]
        return np.asarray(2 * inside >= size)

    votes = np.zeros(count, np.int64)
    for sample in samples:
        votes += is_ink(sample)
    return Forecast.of(votes / len(samples), is_ink(truth))


def _different(overlap: NDArray[np.int64]) -> NDArray[np.int64]:
    own = np.diagonal(overlap, axis1=-2, axis2=-1)
    return np.asarray(own[..., :, None] + own[..., None, :] - 2 * overlap)


def _fair(distance: Floats) -> Floats:
    """mean_i d(x_i, y) - 1/2 mean_(i != j) d(x_i, x_j) of (..., N + 1, N + 1) distances, the truth last."""
    n = distance.shape[-1] - 1
    between = distance[..., :n, :n].sum((-2, -1)) / (n * (n - 1))
    return np.asarray(distance[..., :n, n].mean(-1) - between / 2)
