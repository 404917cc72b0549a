"""Clean pages: the ink and the pictures of a page in their own grey or colour, on white paper.

    R = I / paper,    out = 1 - M g (1 - R)

I is the page, and the paper is a smooth estimate from the pixels without ink (`flowkit.pages.paper`). M is
the matte: P(ink | page), made a little wider, because the blurred edges of strokes lie beside the ink; and 1
where writing is lost (`flowkit.pages.lost_writing`). g divides the difference from the paper by the darkness
of the ink at this place, so that most ink becomes black, faded ink too, and keeps the hue. Pictures are
I / paper as they are (`flowkit.pages.pictures`). So is a page on which the model lost much of the writing:
there is no telling what else it lost.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.errors import CheckpointError
from flowkit.flow import ConditionalFlow
from flowkit.images.dpi import Dpi
from flowkit.images.header import Header, Plan
from flowkit.images.picture import Picture
from flowkit.images.reader import MAX_PIXELS, ImageLike, read
from flowkit.images.writer import write_picture
from flowkit.pages import safety_net
from flowkit.pages.decision import Sampling, check_sampling
from flowkit.pages.ink import binarize, load_binary
from flowkit.pages.layout import Layout, within
from flowkit.pages.lost_writing import fading, faint_parts, lost_writing, measure_darkness
from flowkit.pages.memory import MEMORY, check_header
from flowkit.pages.models import Model
from flowkit.pages.page import Page
from flowkit.pages.paper import Floats, Mask, Squares, bands, find_paper, floats, luma_of
from flowkit.pages.pictures import find_pictures
from flowkit.pages.polarity import Invert, check_invert, dark_on_light
from flowkit.pages.precision import Precision
from flowkit.pages.progress import Progress
from flowkit.pages.strokes import strokes
from flowkit.pages.working_scale import Scale

REGAINED = "of the writing, as dark as the rest, is kept though the model left it out"
DIVIDED = (
    "of the writing was left out by the model: nothing is made white, and the page is divided by its paper"
)

_EDGE = 1.0  # pixels that the blurred edge of a stroke lies beside its ink, at scale 1
_SOFT = 0.7  # standard deviation in pixels by which the matte's own edge is blurred
_SIDE = 3  # of the squares of paper, in pixels
_DARK = 0.95  # quantile of the ink's darkness that becomes black
_LEAST = 0.1  # darkness of the faintest ink that becomes black
_MUCH = 0.1  # of the writing: where the model lost more, it did not understand the page


@dataclass(frozen=True)
class CleanedPage:
    """A page of H x W pixels with white paper.

    Attributes:
        image: (H, W) grey or (H, W, 3) RGB, as the page was; uint8.
        page: its binarization, with P(ink) where samples were drawn.
        pictures: (H, W), True where a picture was kept as it was; None if there is none.
        dpi: dots per inch across and down, or None if the image does not state them.
        notes: for the user of the page, one sentence each.
    """

    image: NDArray[np.uint8]
    page: Page
    pictures: Mask | None = None
    dpi: Dpi = None
    notes: tuple[str, ...] = ()

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page: without loss to .png, .tif, .pdf, .webp or .jp2, or to .jpg. Keeps the dpi.

        Raises:
            OutputError: another suffix, or a place that cannot be written to; no half-written file is left.
        """
        write_picture(path, self.image, self.dpi, lossy=True)


def clean(
    image: ImageLike,
    *,
    model: Model = "binarize",
    temperature: float | None = None,
    samples: int = 1,
    seed: int = 0,
    memory: int = MEMORY,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
    precision: Precision = "auto",
    scale: Scale = "auto",
    invert: Invert = "auto",
    pictures: bool = True,
    layout: Layout | None = None,
) -> CleanedPage:
    """Make the paper of a page white, and keep its ink and pictures in grey or colour.

    Args:
        image: a file, a Pillow image, or an array or tensor of (H, W), (H, W, 3) or (3, H, W).
        model: of ink: one that ships with the package, a checkpoint, or a flow with a binary target.
        temperature: standard deviation of the samples' latents, see `flowkit.pages.binarize`.
        samples: 1 or more; with several, the matte is the share of samples in which a pixel is ink.
        seed: of the latents, 0 or more; the same seed gives the same page.
        memory: most bytes that the process may need, the decoded page and all results included.
        max_pixels: files with more pixels are refused before they are decoded.
        progress: called with the steps done and the steps in all.
        precision: see `flowkit.pages.binarize`.
        scale: page pixels per pixel that the model sees, see `flowkit.pages.binarize`.
        invert: whether the page is turned into its negative first, see `flowkit.pages.binarize`.
        pictures: keep pictures, see `flowkit.pages.pictures`; otherwise, all that is not ink becomes white.
        layout: the parts of the page to keep, see `flowkit.pages.layout`; everything else becomes white. If
            it has pictures, they are kept instead of those that would be found.

    Raises:
        FlowkitError: the device does not compute in this precision.
        ImageError: the image cannot be read.
        CheckpointError: the model cannot be loaded, its target is not binary, or it enlarges.
        MemoryLimitError: the page does not fit into `memory`.
        NotFiniteError: the model puts out NaN or infinity for this page.
        ValueError: an argument is out of its range, or several samples are requested at temperature 0.
    """
    sampling = check_sampling(None, temperature, samples, seed)
    check_invert(invert)
    loaded = functools.cache(lambda: load_cleaning(model))  # only once it is known that there is a page

    def plan(header: Header) -> None:
        plan_cleaning(loaded(), sampling, memory=memory)(header)

    picture = dark_on_light(read(image, max_pixels=max_pixels, plan=plan), invert)
    own = _bytes_per_pixel(picture.pixels.shape[2]) * picture.size[0] * picture.size[1]
    if layout is not None:
        own += 2 * picture.size[0] * picture.size[1]  # its masks
    page = binarize(
        picture,
        model=loaded(),
        temperature=temperature,
        samples=samples,
        seed=seed,
        memory=memory - own,
        progress=progress,
        precision=precision,
        scale=scale,
        invert="no",
    )
    return cleaned(picture, page, pictures=pictures, layout=layout)


def cleaned(
    picture: Picture, page: Page, *, pictures: bool = True, layout: Layout | None = None
) -> CleanedPage:
    """Clean a page of dark ink on lighter paper, whose ink is known; see `clean`."""
    ink = page.binary if page.votes is None else page.votes > 0
    reach = max(1, round(_EDGE * max(1, min(page.scales))))
    covered = ndimage.binary_dilation(ink, iterations=reach + 1)
    inside = None if layout is None else layout.inside(picture.size)
    if layout is not None and layout.pictures:
        found: Mask | None = layout.of_pictures(picture.size)
    else:
        found = find_pictures(picture, covered)
    kept = found if pictures else None
    elsewhere = found if inside is None else ~inside if found is None else found | ~inside
    writing = _writing(picture, page, covered, elsewhere, reach)
    paper = find_paper(picture, writing.covered if kept is None else writing.covered | kept, _SIDE * reach)
    everything = np.broadcast_to(True, picture.size) if writing.much else kept
    image = _composed(picture, page, writing, paper, reach, everything)
    if inside is not None:
        image[~inside] = 255
        page = within(page, inside)
        kept = None if kept is None else kept & inside
    notes = [*page.notes]
    if writing.lost.any():
        notes = _said_of(picture, page, None if writing.much else page.binary | writing.lost)
        notes.append(f"{100 * writing.share:.0f} % {DIVIDED if writing.much else REGAINED}")
    if picture.pixels.dtype != np.uint8:
        notes.append("its samples of more than 8 bits are written as 8")
    if kept is not None and not writing.much:
        notes.append(f"{100 * kept.mean():.0f} % of the page is kept as a picture")
    return CleanedPage(image[..., 0] if image.shape[2] == 1 else image, page, kept, picture.dpi, tuple(notes))


@dataclass(frozen=True)
class _Writing:
    """The writing of a page, with what the model left out; masks (H, W).

    Attributes:
        lost: words that the model left out.
        faint: faint parts of strokes.
        covered: what is not paper.
        faded: how dark the ink is at every place, see `fading`.
        share: of lost words in all.
        steps: from ink to its faint parts.
    """

    lost: Mask
    faint: Mask
    covered: Mask
    faded: Squares
    share: float = 0.0
    steps: int = 0

    @property
    def much(self) -> bool:
        """Tell whether so much is lost that no part of the page can be taken for bare paper."""
        return self.share > _MUCH


def _writing(picture: Picture, page: Page, covered: Mask, elsewhere: Mask | None, reach: int) -> _Writing:
    """Find the writing of a page, but not where pictures are; `covered` is its ink with edges."""
    ink = page.binary
    if not ink.any():  # nothing tells how dark ink is
        none = np.zeros_like(ink)
        return _Writing(none, none, covered, Squares(np.ones((1, 1, 1)), 1))
    dark = measure_darkness(picture, ink)
    lost = lost_writing(dark, ink, covered if elsewhere is None else covered | elsewhere)
    written = ink | lost
    share = float(lost.sum() / written.sum())
    faded = fading(dark, written, reach)
    faint = faint_parts(dark, written, faded)
    more = dark.maybe_written(ink) if share > _MUCH else written | faint
    covered = covered | ndimage.binary_dilation(more, iterations=reach + 1)
    return _Writing(lost, faint, covered, faded, share, dark.steps)


def load_cleaning(model: Model) -> ConditionalFlow:
    """Return the named flow; its target must be binary, of one channel and the size of the page.

    Raises:
        CheckpointError: it cannot be loaded, or has another target.
    """
    flow = load_binary(model)
    if flow.scale != 1:
        raise CheckpointError(f"model {model}: enlarges {flow.scale} times, expected one of ink at scale 1")
    return flow


def plan_cleaning(flow: ConditionalFlow, sampling: Sampling, *, memory: int) -> Plan:
    """Return what refuses a page by its header, for `flowkit.images.reader.read`; see `check_header`."""

    def plan(header: Header) -> None:
        votes = (1 if sampling.samples < 256 else 2) if sampling.samples else 0
        results = 1 + votes + _bytes_per_pixel(3)
        check_header(header, flow, results=results, memory=memory)

    return plan


def _bytes_per_pixel(channels: int) -> int:
    """Count the bytes of the result, of masks and darkness, and of the inverted page."""
    return 2 * channels + 8


def _said_of(picture: Picture, page: Page, kept: Mask | None) -> list[str]:
    """Return the notes on a page; those on lost strokes only of what is not kept; None: all is."""
    found = strokes(picture)
    stale = safety_net.look(found, page.binary).notes
    left = () if kept is None else safety_net.look(found, kept).notes
    return [*(note for note in page.notes if note not in stale), *left]


def _composed(
    picture: Picture, page: Page, writing: _Writing, paper: Squares, reach: int, kept: Mask | None
) -> NDArray[np.uint8]:
    """Lay ink and pictures on white, (H, W, C)."""
    height, width = picture.size
    dark = _darkness(picture, page.binary | writing.lost, paper)
    margin = reach + writing.steps + 3
    image = np.empty(picture.pixels.shape, np.uint8)
    for rows in bands(height):
        depth = _depth(picture, paper, rows)
        around = slice(max(0, rows.start - margin), min(height, rows.stop + margin))
        matte = _matte(page, writing, around, reach)[rows.start - around.start :][: len(depth)]
        black = np.maximum(dark * writing.faded.window(rows, width)[..., 0], luma_of(depth))
        gain = matte / np.maximum(black, _LEAST)
        depth *= (gain if kept is None else np.where(kept[rows], 1, gain))[..., None]
        image[rows] = np.rint(255 * (1 - np.clip(depth, 0, 1)))
    return image


def _darkness(picture: Picture, ink: Mask, paper: Squares) -> float:
    """Return the darkness, relative to the paper, that most ink of the page reaches."""
    counts = np.zeros(256)
    for rows in bands(picture.size[0]):
        luma = luma_of(_depth(picture, paper, rows))[ink[rows]]
        counts += np.bincount((255 * luma).astype(np.uint8), minlength=256)
    if not counts.any():
        return 1.0
    return max(_LEAST, float(np.searchsorted(np.cumsum(counts), _DARK * counts.sum())) / 255)


def _depth(picture: Picture, paper: Squares, rows: slice) -> Floats:
    """Return 1 - R of rows, (h, W, C)."""
    under = np.maximum(paper.window(rows, picture.size[1]), 1 / 255)
    return np.asarray(1 - np.minimum(floats(picture, rows) / under, 1), np.float32)


def _matte(page: Page, writing: _Writing, rows: slice, reach: int) -> Floats:
    """Return P(ink) of rows, or the ink itself, with what was left out, and a wider, soft edge."""
    if page.votes is None:
        share = page.binary[rows].astype(np.float32)
    else:
        share = (page.votes[rows] / page.sampling.samples).astype(np.float32)
    share = np.maximum(share, writing.lost[rows])
    # faint parts are as certain as their stroke
    beside = ndimage.maximum_filter(share, 2 * writing.steps + 1)
    share = np.where(writing.faint[rows], beside, share)
    y, x = np.mgrid[-reach - 1 : reach + 2, -reach - 1 : reach + 2]
    wide = ndimage.maximum_filter(share, footprint=x * x + y * y <= (reach + 0.5) ** 2)
    return np.asarray(ndimage.gaussian_filter(wide, _SOFT), np.float32)
