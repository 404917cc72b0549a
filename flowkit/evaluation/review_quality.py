"""The review score, compared with scores against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from flowkit.metrics.dibco import Ink
from flowkit.pages.review import Review, review


class Reviewed(NamedTuple):
    """The expected review score of a page, from its samples, and the actual one, from the truth.

    The actual score is 1 - F-measure, of the page and of every tile, with the same least amount of ink.
    """

    expected: Review
    actual: Review

    @classmethod
    def of(cls, ink: Ink, samples: Ink, truth: Ink) -> Reviewed:
        """Review a result (H, W) that was made from samples (N, H, W), two or more."""
        votes = samples.sum(0, dtype=np.uint16)
        return cls(review(ink, votes, len(samples), None), review(ink, truth.astype(np.uint8), 1, None))


def correlations(pages: Sequence[Reviewed]) -> tuple[float, float]:
    """Return Spearman's rank correlation of expected and actual scores, of pages and of their tiles.

    They are NaN if there is nothing to rank.
    """
    by_page = [(page.expected.score, page.actual.score) for page in pages]
    by_tile = np.concatenate([np.stack([side.tiles.ravel() for side in page], 1) for page in pages])
    return _spearman(by_page), _spearman(by_tile)


def _spearman(pairs: ArrayLike) -> float:
    expected, actual = np.asarray(pairs, np.float64).T
    if len(expected) < 3 or np.ptp(expected) == 0 or np.ptp(actual) == 0:
        return float("nan")
    return float(stats.spearmanr(expected, actual).statistic)
