"""The decision between ink and paper: by the image at temperature 0, or by a vote of samples."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

Decision = Literal["mode", "mean"] | float
"""`mode`: the image of z = 0, temperature 0. `mean`: ink where P(ink | page) >= 1/2. p: where it is >= p."""

MOST_SAMPLES = 0xFFFF  # votes are counted in 16 bits


class Sampling(NamedTuple):
    """The samples of a page, and the decision by them."""

    threshold: float | None
    """Threshold on P(ink | page); None: the image of z = 0 decides, whatever the samples."""
    temperature: float
    """Temperature of the samples."""
    samples: int
    """Number of samples; 0 if only the image of z = 0 is wanted."""
    seed: int

    @property
    def images(self) -> int:
        """Return the number of images of the page to compute."""
        return self.samples + (self.threshold is None)

    def needed(self) -> int:
        """Return the least number of votes that make a pixel ink."""
        assert self.threshold is not None
        # 0.7 of 10 votes are 7, which floating point puts at 7.000000000000001
        return max(1, math.ceil(round(self.threshold * self.samples, 9)))


def check_sampling(
    decision: Decision | None = None, temperature: float | None = None, samples: int = 1, seed: int = 0
) -> Sampling:
    """Check the options of `binarize`, and return the sampling.

    By default one image at temperature 0 (`mode`), or, where samples or a temperature above 0 are asked for,
    their vote (`mean`), at temperature 1.

    Raises:
        ValueError: an option is out of its range, or they contradict each other.

    >>> check_sampling()
    Sampling(threshold=None, temperature=0.0, samples=0, seed=0)
    >>> check_sampling(samples=16)
    Sampling(threshold=0.5, temperature=1.0, samples=16, seed=0)
    >>> check_sampling("mode", samples=16)  # the central image, with its probability beside it
    Sampling(threshold=None, temperature=1.0, samples=16, seed=0)
    """
    if not 1 <= samples <= MOST_SAMPLES:
        raise ValueError(f"samples must be 1 to {MOST_SAMPLES}, got {samples}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if temperature is not None and not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be a number of 0 or more, got {temperature}")
    if temperature == 0 and samples > 1:
        raise ValueError(
            f"{samples} samples at temperature 0 are all the same; expected a temperature above 0"
        )
    if decision is None:
        decision = "mean" if samples > 1 or temperature else "mode"
    elif decision == "mode":
        if samples == 1 and temperature:
            raise ValueError(f"the mode is the image at temperature 0, got temperature {temperature:g}")
    elif samples == 1:
        raise ValueError("P(ink) is a share of samples: expected samples of 2 or more, got 1")
    threshold = _threshold(decision)
    if threshold is None and samples == 1:
        return Sampling(None, 0.0, 0, seed)
    return Sampling(threshold, 1.0 if temperature is None else temperature, samples, seed)


def _threshold(decision: Decision) -> float | None:
    if decision == "mode":
        return None
    if decision == "mean":
        return 0.5
    if isinstance(decision, (int, float)) and 0 < decision <= 1:
        return float(decision)
    raise ValueError(f"decision must be mode, mean, or a probability above 0 and up to 1, got {decision}")
