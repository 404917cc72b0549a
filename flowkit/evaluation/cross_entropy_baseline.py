"""A baseline for calibration: a pixel-wise classifier with the flow's encoder and a fitted temperature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from flowkit.data import Page, load_pages
from flowkit.errors import DataError
from flowkit.evaluation.contestants import Outcome
from flowkit.evaluation.results import Entry
from flowkit.evaluation.sampling import draw
from flowkit.flow import ConditionalFlow
from flowkit.metrics.calibration import Forecast, negative_log_likelihood
from flowkit.targets import Continuous

STEP = 1 / 64
"""Step to which log-odds are rounded; they are cut at +-16, so that pages can be pooled as counts."""

FINEST = 1 / 1024
"""Step to which v is rounded while slope and bias are fitted."""

_MOST = 16.0


@dataclass(frozen=True)
class Scaling:
    """P(ink) = 1 / (1 + exp(-(slope v + bias))): temperature scaling with a bias (Guo et al., ICML 2017)."""

    slope: float
    bias: float

    def probability(self, v: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of ink for values v."""
        odds = np.clip(self.slope * v.astype(np.float64) + self.bias, -_MOST, _MOST)
        return np.asarray(expit(np.round(odds / STEP) * STEP))

    @classmethod
    def fit(cls, v: NDArray[np.floating], ink: NDArray[np.bool_]) -> Scaling:
        """Fit slope and bias to the least negative log-likelihood of pixels, (n,) each.

        Raises:
            DataError: all pixels are ink, or none.
        """
        if ink.all() or not ink.any():
            raise DataError("a temperature is fitted on pages with both ink and paper")
        values, place = np.unique(np.round(v.astype(np.float64) / FINEST) * FINEST, return_inverse=True)
        total, inks = np.bincount(place), np.bincount(place[ink], minlength=len(values))

        def cost(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            odds = parameters[0] * values + parameters[1]
            nll = total * np.logaddexp(0, odds) - inks * odds
            slope = total * expit(odds) - inks
            return nll.sum() / v.size, np.array([(slope * values).sum(), slope.sum()]) / v.size

        slope, bias = minimize(cost, np.array([1.0, 0.0]), jac=True, method="BFGS").x
        return cls(float(slope), float(bias))


class Head:
    """A flow whose image at temperature 0 was trained by cross-entropy; its v there are log-odds of ink.

    Such a model is trained from the recipe of the flow that it is compared with, and so with the same
    encoder, by `--set train.losses={cross_entropy: 1}`.

    Args:
        name: in the tables.
        flow: with a binary target, which is replaced, so that the flow returns v and not the sign of v.
        held_back: (image, truth) files to fit slope and bias on; none of them was trained on.
        samples: number of samples of every page, if two or more; each pixel is drawn independently, because
            P(ink) determines no more.
        seed: of the samples.

    Raises:
        DataError: pages that cannot be read.
    """

    def __init__(
        self,
        name: str,
        flow: ConditionalFlow,
        held_back: Sequence[tuple[Path, Path]],
        *,
        samples: int,
        seed: int,
    ) -> None:
        self.entries = (Entry(name),)
        self.flow = flow
        self.samples = samples
        self.seed = seed
        flow.target = Continuous(channels=1, noise="none")
        self.pages = len(held_back)
        values, inks = [], []
        for page in load_pages(held_back):
            assert page.ink is not None
            values.append(self._map(page).ravel())
            inks.append(page.ink.ravel())
        self.scaling = Scaling.fit(np.concatenate(values), np.concatenate(inks))

    @property
    def notes(self) -> Sequence[str]:
        """Return a note on the fit."""
        return [
            f"{self.entries[0]}: trained by cross-entropy; log-odds {self.scaling.slope:.3g} v "
            f"{self.scaling.bias:+.3g}, fitted on pages that its training held back ({self.pages})."
        ]

    def run(self, page: Page) -> Iterator[Outcome]:
        """Return one outcome for each entry; see `Contestant`."""
        assert page.ink is not None
        probability = self.scaling.probability(self._map(page))
        samples = None
        if self.samples > 1:
            rng = np.random.default_rng(self.seed)
            samples = np.stack([rng.random(probability.shape) < probability for _ in range(self.samples)])
        nats = page.ink.size * negative_log_likelihood(Forecast.of(probability, page.ink))
        yield Outcome(self.entries[0], probability >= 0.5, probability, samples, nats)

    def _map(self, page: Page) -> NDArray[np.float32]:
        v: NDArray[np.float32] = draw(self.flow, page.picture, {0.0: 1}, 0)[0.0][0, 0]
        return v
