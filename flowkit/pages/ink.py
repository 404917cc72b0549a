"""Binarization of pages: the image at temperature 0, or samples and their vote."""

from __future__ import annotations

import functools
import math

import numpy as np

from flowkit.flow import ConditionalFlow
from flowkit.images.dpi import scaled
from flowkit.images.header import Header, Plan
from flowkit.images.reader import MAX_PIXELS, ImageLike, read
from flowkit.pages.decision import Decision, Sampling, check_sampling
from flowkit.pages.likelihood import bits_per_dim, parts
from flowkit.pages.memory import MEMORY, check_header
from flowkit.pages.models import Model, flow_for
from flowkit.pages.page import Page
from flowkit.pages.precision import Precision
from flowkit.pages.progress import Progress, counted
from flowkit.pages.sampler import PageSampler
from flowkit.targets import Binary


def binarize(
    image: ImageLike,
    *,
    model: Model = "binarize",
    decision: Decision | None = None,
    temperature: float | None = None,
    samples: int = 1,
    seed: int = 0,
    memory: int = MEMORY,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
    keep_samples: bool = False,
    likelihood: bool = False,
    precision: Precision = "float32",
) -> Page:
    """Tell ink from paper, on a page of any size.

    By default the model's central image (temperature 0): the same on every run. With `samples`, the page is
    drawn that often from p(ink | page), and the share of samples is each pixel's probability.

    Args:
        image: a file, a Pillow image, or an array or tensor of (H, W), (H, W, 3) or (3, H, W).
        model: a model that ships with the package, a checkpoint, or a flow with a binary target.
        decision: what is ink. `mode`: what the image of z = 0, temperature 0, says; `mean`: P(ink) >= 1/2;
            a number p: P(ink) >= p. By default `mode` for one sample, `mean` for more, or if a temperature
            above 0 is given.
        temperature: standard deviation of the samples' latents, 0 or more; by default 0 for one sample, 1
            for more.
        samples: 1 or more. For `mode`, more than one give the probability beside the decision.
        seed: of the latents, 0 or more; the same seed gives the same page.
        memory: bytes that the process may need at its highest, the decoded page and all results included;
            less needs more time, for the same result.
        max_pixels: files that hold more are refused before they are decoded.
        progress: called with the steps done and the steps in all.
        keep_samples: keep the samples themselves, at a bit per pixel and sample.
        likelihood: also score the result, see `Page.bits_per_dim`; takes about as long as all the rest.
        precision: of the encoder: `bfloat16` is quicker on devices that compute in it, and nearly the same.

    Raises:
        FlowkitError: the device does not compute in this precision.
        ImageError: the image cannot be read.
        CheckpointError: the model cannot be loaded, or its target is not binary.
        MemoryLimitError: the page does not fit into `memory`.
        NotFiniteError: the model puts out NaN or infinity for this page.
        ValueError: an argument is out of its range, or many samples are wanted at temperature 0.
    """
    sampling = check_sampling(decision, temperature, samples, seed)
    loaded = functools.cache(lambda: load_binary(model))  # not before it is known that there is a page

    def plan(header: Header) -> None:
        plan_binary(loaded(), sampling, memory=memory, keep_samples=keep_samples)(header)

    picture = read(image, max_pixels=max_pixels, plan=plan)
    flow = loaded()
    results = math.prod(picture.size) * _bytes_per_pixel(flow, sampling, keep_samples)
    sampler = PageSampler(flow, picture, seed=seed, memory=memory, results=results, precision=precision)
    return draw(sampler, sampling, keep=keep_samples, likelihood=likelihood, progress=progress)


def draw(
    sampler: PageSampler,
    sampling: Sampling,
    *,
    keep: bool = False,
    likelihood: bool = False,
    progress: Progress | None = None,
) -> Page:
    """Binarize a page that has been read and cut into tiles."""
    size, count = sampler.size, sampling.samples
    binary = np.zeros(size, bool)
    votes = np.zeros(size, np.uint8 if count < 256 else np.uint16) if count else None
    kept = np.zeros((-(-count // 8), *size), np.uint8) if keep and count else None
    scored = len(parts(sampler.tiles)) if likelihood else 0
    step = counted(progress, len(sampler.tiles) * sampling.images + scored)
    images: list[int | None] = [*([None] if sampling.threshold is None else []), *range(count)]
    for tile in sampler.tiles:
        pieces = sampler.draw(tile, images, sampling.temperature)
        for sample, (rows, cols, y) in zip(images, pieces, strict=True):
            ink = (y[0] > 0.5).numpy()
            if sample is None:
                binary[rows, cols] = ink
            else:
                assert votes is not None
                votes[rows, cols] += ink
                if kept is not None:
                    kept[sample // 8, rows, cols] |= ink.astype(np.uint8) << (sample % 8)
            step()
    if sampling.threshold is not None:
        assert votes is not None
        np.greater_equal(votes, sampling.needed(), out=binary)
    return Page(
        binary=binary,
        sampling=sampling,
        votes=votes if count > 1 else None,
        kept=kept,
        bits_per_dim=bits_per_dim(sampler, binary, step) if likelihood else None,
        dpi=scaled(sampler.picture.dpi, sampler.model.scale),
        notes=sampler.picture.notes,
    )


def plan_binary(flow: ConditionalFlow, sampling: Sampling, *, memory: int, keep_samples: bool) -> Plan:
    """Return what refuses a page by its header, for `flowkit.images.reader.read`; see `check_header`."""
    results = _bytes_per_pixel(flow, sampling, keep_samples)
    return functools.partial(check_header, model=flow, results=results, memory=memory)


def _bytes_per_pixel(flow: ConditionalFlow, sampling: Sampling, keep_samples: bool) -> int:
    """Count the bytes of results for each pixel of the page."""
    kept = -(-sampling.samples // 8) if keep_samples else 0
    return flow.scale**2 * (1 + (1 if sampling.samples < 256 else 2) + kept)


def load_binary(model: Model) -> ConditionalFlow:
    """Return the named flow; its target must be binary, of one channel.

    Raises:
        CheckpointError: it cannot be loaded, or has another target.
    """
    return flow_for(model, Binary, (1,))
