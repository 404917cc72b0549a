"""Super-resolution of pages: samples of the page at a higher resolution."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from flowkit.flow import ConditionalFlow
from flowkit.images.dpi import Dpi, scaled
from flowkit.images.header import Header, Plan
from flowkit.images.picture import Picture, luma
from flowkit.images.reader import MAX_PIXELS, ImageLike, read
from flowkit.images.writer import holds_16_bits, write_picture
from flowkit.pages.blank import marked
from flowkit.pages.decision import Sampling, check_sampling
from flowkit.pages.focus import ink_mask
from flowkit.pages.memory import MEMORY, check_header
from flowkit.pages.models import Model, flow_for
from flowkit.pages.precision import Precision
from flowkit.pages.progress import Progress, counted
from flowkit.pages.sampler import PageSampler
from flowkit.pages.tiles import Tile
from flowkit.pages.unlike_training import trained_on, unlike_training
from flowkit.targets import Continuous

Levels = NDArray[np.uint8] | NDArray[np.uint16]
"""Grey levels or colours over the full range of their type."""

PLAIN = 256  # rows that are enlarged at a time where no model is wanted
BICUBIC = 2  # pixels that bicubic interpolation reads on either side


@dataclass(frozen=True)
class UpscaledPage:
    """A page of H x W pixels, enlarged by the model's scale.

    Attributes:
        image: (H, W) grey or (H, W, 3) RGB, as the page was: uint16 if the page was of 16 bits, otherwise
            uint8. With several samples it is their mean, which is blurred where they differ.
        samples: (N, H, W) or (N, H, W, 3) of the same type, if they were kept.
        dpi: dots per inch across and down, those of the page times the model's scale; None where the image
            did not say.
        notes: what its user should know about the page, one sentence each.
    """

    image: Levels
    samples: Levels | None = None
    dpi: Dpi = None
    notes: tuple[str, ...] = ()

    def save(self, path: str | PathLike[str]) -> None:
        """Write the image: without loss to .png, .tif, .pdf, .webp or .jp2, or to .jpg. Keeps the dpi.

        16 bits become 8 in formats that hold no more: PNG and TIFF do, and JPEG 2000 in grey.

        Raises:
            OutputError: another suffix, or a place that cannot be written to; nothing half-written is left.
        """
        write_picture(path, levels_for(path, self.image), self.dpi, lossy=True)


def upscale(
    image: ImageLike,
    *,
    model: Model = "super-resolve-x4",
    temperature: float | None = None,
    samples: int = 1,
    seed: int = 0,
    memory: int = MEMORY,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
    keep_samples: bool = False,
    focus: Model | None = None,
    precision: Precision = "auto",
) -> UpscaledPage:
    """Enlarge a page of any size by a model's scale (1 for a model that restores).

    Args:
        image: a file, a Pillow image, or an array or tensor of (H, W), (H, W, 3) or (3, H, W).
        model: a model that ships with the package, a checkpoint, or a flow with a continuous target of one or
            three channels. One channel: of a page in colour it makes the luma, and the colour is enlarged by
            bicubic interpolation. Three: a grey page comes out grey.
        temperature: standard deviation of the latents, 0 or more; by default 0 for one sample, 1 for more.
        samples: 1 or more; the image is their mean.
        seed: of the latents, 0 or more; the same seed gives the same page.
        memory: bytes that the process may need at its highest, the decoded page and all results included.
        max_pixels: files that hold more are refused before they are decoded.
        progress: called with the steps done and the steps in all.
        keep_samples: keep the samples themselves.
        focus: a model of ink, such as `binarize`: what is far from ink is enlarged by bicubic interpolation
            (see `flowkit.pages.focus`). Paper gets no invented texture, and costs little.
        precision: see `flowkit.pages.binarize`.

    Raises:
        FlowkitError: the device does not compute in this precision.
        ImageError: the image cannot be read.
        CheckpointError: the model cannot be loaded, or its target is not continuous with 1 or 3 channels.
        MemoryLimitError: the page does not fit into `memory`.
        NotFiniteError: the model puts out NaN or infinity for this page.
        ValueError: an argument is out of its range, or many samples are wanted at temperature 0.
    """
    sampling = check_sampling(None, temperature, samples, seed)
    loaded = functools.cache(lambda: load_continuous(model))  # not before it is known that there is a page

    def plan(header: Header) -> None:
        plan_continuous(loaded(), sampling, memory=memory, keep_samples=keep_samples)(header)

    picture = read(image, max_pixels=max_pixels, plan=plan)
    flow = loaded()
    height, width = (side * flow.scale for side in picture.size)
    bytes_per_pixel = picture.pixels.shape[2] * (1 + (samples if keep_samples else 0))
    bytes_per_pixel *= _depth(picture).itemsize
    mask = None if focus is None else ink_mask(picture, focus, seed=seed, memory=memory, precision=precision)
    results = height * width * bytes_per_pixel + (0 if mask is None else mask.pixels.nbytes)
    where = None if mask is None else marked(mask.pixels[..., 0])
    sampler = PageSampler(
        flow, picture, seed=seed, memory=memory, results=results, precision=precision, where=where
    )
    page = enlarge(sampler, sampling, keep=keep_samples, mask=mask, progress=progress)
    unlike = unlike_training(picture, trained_on(flow)) if flow.scale > 1 else ()
    return replace(page, notes=(*page.notes, *unlike))


def enlarge(
    sampler: PageSampler,
    sampling: Sampling,
    *,
    keep: bool = False,
    mask: Picture | None = None,
    progress: Progress | None = None,
) -> UpscaledPage:
    """Enlarge a page that has been read and cut; a mask is grey of its size, 0 where no flow is wanted."""
    picture, scale = sampler.picture, sampler.model.scale
    images: list[int | None] = [*range(sampling.samples)] or [None]
    shape = (*sampler.size, picture.pixels.shape[2])
    kind = _depth(picture)
    image = np.empty(shape, kind)
    kept = np.empty((len(images), *shape), kind) if keep else None
    step = counted(progress, len(sampler.tiles) * len(images))
    if mask is not None:
        _fill(image, kept, picture, scale)

    def work(tile: Tile) -> None:
        rows, cols = sampler.place(tile)
        mean: Tensor | None = None
        for index, values in enumerate(_drawn(sampler, tile, images, sampling.temperature, mask)):
            if kept is not None:
                kept[index, rows, cols] = _levels(values, kind)
            share = values / len(images)
            mean = share if mean is None else mean + share
            step()
        assert mean is not None
        image[rows, cols] = _levels(mean, kind)

    sampler.share(work)
    if shape[2] == 1:
        image, kept = image[..., 0], None if kept is None else kept[..., 0]
    return UpscaledPage(image, kept, scaled(picture.dpi, scale), picture.notes)


def _fill(image: Levels, kept: Levels | None, picture: Picture, scale: int) -> None:
    """Enlarge the whole page by bicubic interpolation, which remains where there is no tile."""
    height, width, channels = image.shape
    for top in range(0, height, PLAIN * scale):
        rows = slice(top, min(height, top + PLAIN * scale))
        plain = _bicubic(picture, rows, slice(0, width), scale, channels).clamp(0, 1)
        image[rows] = _levels(plain, image.dtype)
        if kept is not None:
            kept[:, rows] = image[rows]


def _drawn(
    sampler: PageSampler, tile: Tile, images: list[int | None], temperature: float, mask: Picture | None
) -> Iterator[Tensor]:
    """Yield a tile's core of each of these samples, in the page's channels: (C, h, w) of values in [0, 1]."""
    picture, scale = sampler.picture, sampler.model.scale
    rows, cols = sampler.place(tile)
    share = plain = None
    if mask is not None:
        share = _bicubic(mask, rows, cols, scale, 1).clamp(0, 1)
        plain = _bicubic(picture, rows, cols, scale, picture.pixels.shape[2])
        if not share.any():
            yield from [plain.clamp(0, 1)] * len(images)
            return
    for piece in sampler.draw(tile, images, temperature):
        values = _as_the_page(piece.y.float(), picture, rows, cols, scale)
        if share is not None and plain is not None:
            values = torch.lerp(plain, values, share)
        yield values.clamp(0, 1)


def _as_the_page(y: Tensor, picture: Picture, rows: slice, cols: slice, scale: int) -> Tensor:
    """Convert a model's output for rows x cols of the target to the page's channels: (C, h, w)."""
    channels = picture.pixels.shape[2]
    if len(y) == channels:
        return y
    if channels == 1:
        return luma(y)
    # The eye sees detail in the luma; the colours may be smooth.
    colours = _bicubic(picture, rows, cols, scale, 3)
    return y + colours - luma(colours)


def _bicubic(picture: Picture, rows: slice, cols: slice, scale: int, channels: int) -> Tensor:
    """Enlarge rows x cols of the page by bicubic interpolation, not clipped: (channels, h, w)."""
    around = [
        slice(max(0, span.start // scale - BICUBIC), min(length, span.stop // scale + BICUBIC))
        for span, length in zip((rows, cols), picture.size, strict=True)
    ]
    values = picture.window(around[0], around[1], channels)
    if scale > 1:
        values = F.interpolate(values, scale_factor=scale, mode="bicubic", align_corners=False)
    inner = [
        slice(span.start - scale * window.start, span.stop - scale * window.start)
        for span, window in zip((rows, cols), around, strict=True)
    ]
    return values[0, :, inner[0], inner[1]]


def levels_for(path: str | PathLike[str], image: Levels) -> Levels:
    """Return an image as a file of this name can hold it: of 16 bits, or of 8."""
    if image.dtype == np.uint8 or holds_16_bits(path, image.ndim):
        return image
    return Picture(image).eight_bits()


def _depth(picture: Picture) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
    """Return the type of the levels of an enlarged page."""
    return np.dtype(np.uint16) if picture.pixels.dtype == np.uint16 else np.dtype(np.uint8)


def _levels(values: Tensor, kind: np.dtype[Any]) -> Levels:
    """Convert values (C, h, w) in [0, 1] to (h, w, C) of 8 or 16 bits."""
    top = float(np.iinfo(kind).max)
    levels: Levels = (top * values).round().permute(1, 2, 0).numpy().astype(kind)
    return levels


def plan_continuous(flow: ConditionalFlow, sampling: Sampling, *, memory: int, keep_samples: bool) -> Plan:
    """Return what refuses a page by its header, for `flowkit.images.reader.read`; see `check_header`."""

    def plan(header: Header) -> None:
        of_a_pixel = header.nbytes / (header.width * header.height)
        images = 1 + (max(1, sampling.samples) if keep_samples else 0)
        check_header(header, flow, results=flow.scale**2 * of_a_pixel * images, memory=memory)

    return plan


def load_continuous(model: Model) -> ConditionalFlow:
    """Return the named flow; its target must be continuous, of one channel or three.

    Raises:
        CheckpointError: it cannot be loaded, or has another target.
    """
    return flow_for(model, Continuous, (1, 3))
