"""A page that is drawn from one sampler, cut as a test wants it."""

from __future__ import annotations

from collections.abc import Callable

from flowkit.pages import Page
from flowkit.pages.decision import Sampling
from flowkit.pages.ink import draw_samples
from flowkit.pages.likelihood import bits_per_dim
from flowkit.pages.results import Results
from flowkit.pages.sampler import PageSampler


def draw(
    sampler: PageSampler,
    sampling: Sampling,
    *,
    likelihood: bool = False,
    step: Callable[[], None] = lambda: None,
) -> Page:
    """Draw the page, as `binarize` does at scale 1."""
    results = Results.blank(sampler.size, sampling, keep=False)
    draw_samples(sampler, sampling, results, step)
    ink = results.decided(sampling)
    bits = bits_per_dim(sampler, ink, step) if likelihood else None
    return Page(ink, sampling, results.votes if sampling.samples > 1 else None, bits_per_dim=bits)
