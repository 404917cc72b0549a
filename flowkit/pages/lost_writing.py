"""Writing that a binarization lacks: lost words and faint parts of strokes.

    d = (P - I) / max(P, W / 2)

P is the paper around each pixel, by a closing a few strokes wide, and W the median of the page, by which
noise in a dark margin counts little.

- Words: r is the median of d in the ink that was found. Where at least a tenth of what is darker than 0.6 r,
  in a window as large as a short word, is darker than r, all of that is writing: letters that shine through
  are paler throughout, and stains do not fit into the closing.
- Faint parts: pixels that reach 0.45 of the darkness of the ink around them, and a stroke's width of steps
  over such pixels from ink.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages.paper import Floats, Mask, Squares, bands, filled, sums
from flowkit.pages.strokes import CELL, closing, grey_of

_WINDOW = 4  # strokes: the side of the closing
_WORD = 1.5, 4  # strokes: standard deviations of a window, down and across
_PALE, _SURE = 0.6, 1.0  # of the ink's darkness
_SHARE = 0.1  # of what is dark that must be sure
_MUCH = 0.02  # of the ink; less is folds and dirt on a page that the model understood
_LEAST = 12  # squares as wide as a stroke; less is no word
_SIDE = 8  # pixels at scale 1: the squares in which the darkness of ink is measured, a letter or less
_LEAN = 0.075  # of a square full of ink: the weight of the squares around it
_FAINTEST = 0.4  # of the page's ink: writing that is paler does not become black
_FAINT = 0.45  # of the ink around it
_ANY = 0.25  # of the ink: what may be writing on a page that the model did not understand


@dataclass(frozen=True)
class Darkness:
    """The darkness of a page against the paper around each pixel.

    Attributes:
        values: (H, W) uint8, d in 255ths.
        width: of a stroke of the ink that was found, in pixels.
    """

    values: NDArray[np.uint8]
    width: float

    @property
    def steps(self) -> int:
        """Return the number of steps from ink to its faint parts."""
        return max(1, int(self.width))

    def maybe_written(self, ink: Mask) -> Mask:
        """Return what may be writing, (H, W), given some that is: darker than a quarter of its median."""
        return np.asarray(self.values >= _ANY * np.median(self.values[ink]))


def measure_darkness(picture: Picture, ink: Mask) -> Darkness:
    """Measure a page, dark on light, of which some ink is known."""
    # a stroke has an edge on each of its sides
    width = 2 * np.count_nonzero(ink) / np.count_nonzero(ink & ~ndimage.binary_erosion(ink))
    return Darkness(_darkness(grey_of(picture), round(_WINDOW * width)), width)


def lost_writing(dark: Darkness, ink: Mask, covered: Mask) -> Mask:
    """Find words beside the ink that was found, (H, W).

    Args:
        dark: of the page.
        ink: (H, W), what was found.
        covered: (H, W), where nothing is looked for: ink with its edges, and pictures.
    """
    lost = np.zeros(ink.shape, bool)
    if not (usual := np.median(dark.values[ink])):
        return lost
    word = _WORD[0] * dark.width, _WORD[1] * dark.width
    margin = round(4 * max(word)) + 1
    for rows in bands(len(lost)):
        around = slice(max(0, rows.start - margin), rows.stop + margin)
        pale = dark.values[around] >= _PALE * usual
        sure = dark.values[around] >= _SURE * usual
        found = pale & (_blurred(sure, word) >= _SHARE * _blurred(pale, word))
        lost[rows] = found[rows.start - around.start :][: rows.stop - rows.start] & ~covered[rows]
    lost = _words(lost, _LEAST * dark.width**2)
    return lost if lost.sum() >= _MUCH * ink.sum() else np.zeros_like(lost)


def fading(dark: Darkness, ink: Mask, scale: int) -> Squares:
    """Return how dark the ink is at every place, as a share of what is usual on the page, 0.4 to 1.

    Every pixel of ink counts by its own darkness, so that soft edges count little.
    """
    side = _SIDE * scale
    parts, weights = [], []
    for rows in bands(len(ink), side):
        values = np.where(ink[rows], dark.values[rows], 0).astype(np.float32)[..., None] / 255
        parts.append(sums(values * values, side))
        weights.append(sums(values, side))
    part, weight = np.concatenate(parts), np.concatenate(weights)
    usual = max(float(part.sum() / max(weight.sum(), 1e-6)), 1 / 255)
    found = filled(part, weight, _LEAN * usual * side * side)
    return Squares(np.clip(found / usual, _FAINTEST, 1), side)


def faint_parts(dark: Darkness, ink: Mask, faded: Squares) -> Mask:
    """Find the faint parts of strokes, (H, W), beside the ink; `faded` is what `fading` returns of it."""
    found = np.zeros(ink.shape, bool)
    inside = dark.values[ink].astype(np.float32)
    least = _FAINT * float((inside * inside).sum() / max(inside.sum(), 1))
    steps = dark.steps
    for rows in bands(len(ink)):
        around = slice(max(0, rows.start - steps), min(len(ink), rows.stop + steps))
        pale = dark.values[around] >= least * faded.window(around, ink.shape[1])[..., 0]
        grown = ndimage.binary_dilation(ink[around], np.ones((3, 3), bool), steps, mask=pale)
        found[rows] = (grown & pale)[rows.start - around.start :][: rows.stop - rows.start] & ~ink[rows]
    return found


def _darkness(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return d, (H, W), in 255ths."""
    margin = 3 * side
    least = max(1.0, float(np.median(grey[::8, ::8])) / 2)
    dark = np.empty(grey.shape, np.uint8)
    for rows in bands(len(grey)):
        around = slice(max(0, rows.start - margin), rows.stop + margin)
        own = slice(rows.start - around.start, rows.stop - around.start)
        closed = closing(grey[around], side).astype(np.float32)
        paper = np.minimum(closed, ndimage.gaussian_filter(closed, side / 4))[
            own
        ]  # the edge of a lid is none
        dark[rows] = 255 * np.maximum(paper - grey[rows], 0) / np.maximum(paper, least)
    return dark


def _blurred(mask: Mask, deviations: tuple[float, float]) -> Floats:
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), deviations))


def _words(mask: Mask, least: float) -> Mask:
    """Leave out what is smaller than a word, gaps between letters being bridged."""
    height, width = mask.shape
    counts = sums(mask[..., None].astype(np.float32), CELL)[..., 0]
    labels, _ = ndimage.label(ndimage.binary_dilation(counts > 0, np.ones((3, 5), bool)))
    kept = np.bincount(labels.ravel(), weights=counts.ravel()) >= least
    kept[0] = False
    cells = kept[labels].repeat(CELL, 0).repeat(CELL, 1)
    return np.asarray(mask & cells[:height, :width])
