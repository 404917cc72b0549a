"""Binarization of pages: the image at temperature 0, or samples and their vote."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flowkit.flow import ConditionalFlow
from flowkit.images.dpi import scaled
from flowkit.images.header import Header, Plan
from flowkit.images.picture import Picture
from flowkit.images.reader import MAX_PIXELS, ImageLike, read
from flowkit.pages import between, safety_net
from flowkit.pages.blank import written
from flowkit.pages.contours import settle
from flowkit.pages.decision import Decision, Sampling, check_sampling
from flowkit.pages.layout import Layout, within
from flowkit.pages.likelihood import bits_of_views
from flowkit.pages.likelihood import parts as windows
from flowkit.pages.memory import MEMORY, check_header
from flowkit.pages.models import Model, flow_for
from flowkit.pages.page import Page
from flowkit.pages.phases import Region, View, regions, views
from flowkit.pages.plates import find_plates, turned
from flowkit.pages.polarity import Invert, check_invert, dark_on_light
from flowkit.pages.precision import Precision
from flowkit.pages.progress import Progress, counted
from flowkit.pages.results import Results
from flowkit.pages.sampler import PageSampler
from flowkit.pages.strokes import Strokes, grey_of, strokes
from flowkit.pages.tiles import Tile
from flowkit.pages.working_scale import Scale, WorkingScales, check_scale, working_scales
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
    precision: Precision = "auto",
    scale: Scale = "auto",
    invert: Invert = "auto",
    layout: Layout | None = None,
) -> Page:
    """Tell ink from paper, on a page of any size.

    By default the model's central image (temperature 0): the same on every run. With `samples`, the page is
    drawn that often from p(ink | page), and the share of samples is each pixel's probability.

    Dark plates with light writing are read as their negatives (`flowkit.pages.plates`); on spotless pages the
    contours are settled by grey, in the samples too (`flowkit.pages.contours`).

    Args:
        image: a file, a Pillow image, or an array or tensor of (H, W), (H, W, 3) or (3, H, W).
        model: a model that ships with the package, a checkpoint, or a flow with a binary target.
        decision: what is ink. `mode`: what the image of z = 0, temperature 0, says; `mean`: P(ink) >= 1/2;
            a number p: P(ink) >= p. By default `mode` for one sample, `mean` for more, or if a temperature
            above 0 is given.
        temperature: standard deviation of the samples' latents, in units of the model's own `temperatures`
            (1, but for models like `readings`), 0 or more; by default 0 for one sample, 1
            for more.
        samples: 1 or more. For `mode`, more than one give the probability beside the decision.
        seed: of the latents, 0 or more; the same seed gives the same page.
        memory: bytes that the process may need at its highest, the decoded page and all results included;
            less needs more time, for the same result.
        max_pixels: files that hold more are refused before they are decoded.
        progress: called with the steps done and the steps in all.
        keep_samples: keep the samples themselves, at a bit per pixel and sample.
        likelihood: also score the result, see `Page.bits_per_dim`; takes about as long as all the rest.
        precision: of the encoder and, on a CPU, of the networks that read its features; what is done to
            latents is float32. `auto`: bfloat16 where the processor has instructions for it, float32
            elsewhere, and for `likelihood`. The results are nearly the same.
        scale: page pixels per pixel that the model sees: 0.5, or 1 to 16. `auto`: from the width of the
            page's strokes, in several parts where they differ much, see `flowkit.pages.working_scale`. The
            result has the page's own pixels. Views of the page at a scale share their latents, so that
            samples differ by strokes and not by pixels.
        invert: whether the page is turned into its negative first; `auto`: where it is light on dark.
        layout: what of the page counts, see `flowkit.pages.layout`; ink outside of it is left out, with a
            note. The model sees the whole page.

    Raises:
        FlowkitError: the device does not compute in this precision.
        ImageError: the image cannot be read, or the layout is of another page.
        CheckpointError: the model cannot be loaded, or its target is not binary.
        MemoryLimitError: the page does not fit into `memory`.
        NotFiniteError: the model puts out NaN or infinity for this page.
        ValueError: an argument is out of its range, or many samples are wanted at temperature 0.
    """
    sampling = check_sampling(decision, temperature, samples, seed)
    check_scale(scale)
    check_invert(invert)
    loaded = functools.cache(lambda: load_binary(model))  # not before it is known that there is a page

    def plan(header: Header) -> None:
        plan_binary(loaded(), sampling, memory=memory, keep_samples=keep_samples)(header)

    picture = dark_on_light(read(image, max_pixels=max_pixels, plan=plan), invert)
    flow = loaded()
    found = strokes(picture)
    # on rough pages a stain around letters looks like a plate
    plates = find_plates(picture, found) if flow.scale == 1 and found.spotless else None
    seen = picture if plates is None else turned(picture, plates, found)
    scales = _scales(flow, scale, found if plates is None else strokes(seen))
    parts = regions(seen, scales)
    size = picture.size[0] * flow.scale, picture.size[1] * flow.scale
    inside = None if layout is None else layout.inside(size)
    results = Results.blank(size, sampling, keep=keep_samples)
    beside = results.nbytes + found.nbytes + (0 if inside is None else inside.nbytes)
    if plates is not None:
        beside += seen.pixels.nbytes + plates.nbytes
    if scales.scales != (1,):  # the page as it was read, and of one part the smooth copy and the results
        beside += 2 * picture.pixels.nbytes + (results.nbytes if len(parts) > 1 else 0)
    if min(scales.scales) < 1:  # and they are of the page enlarged
        beside += 3 * picture.pixels.nbytes + 5 * results.nbytes

    def samplers(views: Sequence[View], *, scoring: bool = False) -> list[PageSampler]:
        return [
            PageSampler(
                flow, view.picture, seed=seed, memory=memory, results=beside,
                precision="float32" if scoring and precision == "auto" else precision,
                where=None if scoring else written(view.picture),
            )
            for view in views
        ]  # fmt: skip

    cut = [samplers(part.views) for part in parts]
    scored: Sequence[View] = ()
    if likelihood:
        scored = views(seen, scales.scales[0])
    scorers = samplers(scored, scoring=True)
    steps = sum(len(sampler.tiles) for row in cut for sampler in row) * sampling.images
    steps += sum(len(windows(sampler.tiles)) for sampler in scorers)
    step = counted(progress, steps)
    for part, row in zip(parts, cut, strict=True):
        whole = part.mask is None and part.scale >= 1
        own = results if whole else Results.blank(part.size(flow.scale), sampling, keep=keep_samples)
        for view, sampler in zip(part.views, row, strict=True):
            draw_samples(sampler, sampling, own.every(view.rows, view.cols), step)
        row.clear()  # and the features that its samplers hold
        between.fill(own, functools.partial(_grey, seen, part), part.step)
        if part.scale < 1:
            own = own.halved()
        if not whole:
            mask: NDArray[np.bool_] | bool = True if part.mask is None else part.mask
            if part.scale > scales.scales[0]:
                mask &= own.more_than(results.every(part.rows, part.cols))
            results.take(own, part.rows, part.cols, mask)
    binary = results.decided(sampling)
    if plates is not None:
        results.turn(plates, sampling.samples)
    if flow.scale == 1 and found.spotless:
        settle(picture, found, binary, results, sampling.samples)
    places = [(view.rows, view.cols) for view in scored]
    second = safety_net.look(found, binary) if flow.scale == 1 else safety_net.Finding()
    page = Page(
        binary=binary,
        sampling=sampling,
        votes=results.votes if sampling.samples > 1 else None,
        kept=results.kept,
        bits_per_dim=bits_of_views(scorers, places, binary, step) if likelihood else None,
        dpi=scaled(picture.dpi, flow.scale),
        notes=(*picture.notes, *second.notes),
        scales=scales.scales,
        wrong=second.wrong,
    )
    return page if inside is None else within(page, inside)


def _grey(picture: Picture, part: Region, rows: slice) -> NDArray[np.uint8]:
    """Return the luma of rows of a part of a page."""
    return grey_of(replace(picture, pixels=picture.pixels[part.rows, part.cols][rows]))


def plan_binary(flow: ConditionalFlow, sampling: Sampling, *, memory: int, keep_samples: bool) -> Plan:
    """Return what refuses a page by its header, for `flowkit.images.reader.read`; see `check_header`."""
    results = _bytes_per_pixel(flow, sampling, keep_samples)
    return functools.partial(check_header, model=flow, results=results, memory=memory)


def _bytes_per_pixel(flow: ConditionalFlow, sampling: Sampling, keep_samples: bool) -> int:
    """Count the bytes of results for each pixel of the page."""
    kept = -(-sampling.samples // 8) if keep_samples else 0
    return flow.scale**2 * (1 + (1 if sampling.samples < 256 else 2) + kept)


def _scales(flow: ConditionalFlow, scale: Scale, found: Strokes) -> WorkingScales:
    """Return the scales that are asked for, or that the page's strokes suggest."""
    if scale != "auto":
        return WorkingScales((scale,))
    # a model that enlarges was trained on small pages: their strokes are no measure for it
    return working_scales(found) if flow.scale == 1 else WorkingScales((1,))


def draw_samples(sampler: PageSampler, sampling: Sampling, into: Results, step: Callable[[], None]) -> None:
    """Draw the image of z = 0, where it decides, and the samples, and add them to the results."""
    images: list[int | None] = [
        *([None] if sampling.threshold is None else []),
        *range(sampling.samples),
    ]

    def work(tile: Tile) -> None:
        pieces = sampler.draw(tile, images, sampling.temperature)
        for sample, (rows, cols, y) in zip(images, pieces, strict=True):
            into.add(sample, rows, cols, (y[0] > 0.5).numpy())
            step()

    sampler.share(work)


def load_binary(model: Model) -> ConditionalFlow:
    """Return the named flow; its target must be binary, of one channel.

    Raises:
        CheckpointError: it cannot be loaded, or has another target.
    """
    return flow_for(model, Binary, (1,))
