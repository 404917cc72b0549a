"""A check of a binarized page: clearly visible strokes that the result lacks.

The classical stroke widths of the page (`flowkit.pages.strokes`) are set beside the result. Strokes are lost
where pixels nearly as dark as the page's ink have no ink of the result near them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.pages.strokes import CELL, WIDTHS, Strokes

WIDEST = 64
"""Width in pixels of what may be a stroke; what is wider is a border, a stain or a picture."""

SHARE = 0.06
"""Share of the strokes that may be lost without a note: specks, stains, the other side of the leaf."""

_SMALLEST = 10_000  # pixels; a snippet has too few strokes to tell what they are
_LEAST = 60.0  # pixels; less is no word
_FEW = 6  # pixels of a cell; fewer are the ends of a stroke in the cell beside it
_INK = 0.5  # of the page; more of it is no writing


class Finding(NamedTuple):
    """The outcome of a second look at a result.

    Attributes:
        notes: sentences for the page's user; none where nothing is wrong.
        wrong: (rows, columns) float32, how many pixels of each cell are probably wrong; None with no note.
    """

    notes: tuple[str, ...] = ()
    wrong: NDArray[np.float32] | None = None


def lost_strokes(found: Strokes, binary: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Count the pixels of strokes that the result lacks in each cell, (rows, columns)."""
    return _lost(found, binary)[0]


def look(found: Strokes, binary: NDArray[np.bool_]) -> Finding:
    """Note what the result lacks, where most of that is, and whether too much of it is ink for writing."""
    if binary.size < _SMALLEST:
        return Finding()
    said = []
    wrong: NDArray[np.float32] | None = None
    lost, strokes = _lost(found, binary)
    total = float(strokes.sum())
    if lost.sum() > max(_LEAST, SHARE * total):
        left, top, right, bottom = _box(lost, binary.shape)
        said.append(
            f"{100 * lost.sum() / total:.0f} % of the dark strokes of the page are not in the result, most "
            f"of them within ({left}, {top}, {right}, {bottom}); a picture, or lost text: look at it"
        )
        wrong = lost
    if (share := float(binary.mean())) > _INK:
        said.append(
            f"{100 * share:.0f} % of the result is ink: a picture, a dark ground, or a page inside out"
        )
        ink = _in_cells(binary).sum((1, 3), dtype=np.float32)
        wrong = ink if wrong is None else wrong + ink
    return Finding(tuple(said), wrong)


def _lost(found: Strokes, binary: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Count the pixels of strokes in each cell: lost ones, and all."""
    narrow = found.counts[WIDTHS <= WIDEST].sum(0, dtype=np.uint16)
    wide = found.counts[WIDTHS > WIDEST].sum(0, dtype=np.uint16)
    strokes = np.where((found.strong >= _FEW) & (narrow > wide), found.strong, 0).astype(np.float32)
    near = ndimage.binary_dilation(_in_cells(binary).any((1, 3)), np.ones((3, 3), bool))
    return np.where(near, 0, strokes), strokes


def _in_cells(binary: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Group the pixels of a result by cells, (rows, CELL, columns, CELL), padded with paper."""
    rows, columns = (-(-length // CELL) for length in binary.shape)
    padded = np.zeros((rows * CELL, columns * CELL), bool)
    padded[: binary.shape[0], : binary.shape[1]] = binary
    return padded.reshape(rows, CELL, columns, CELL)


def _box(lost: NDArray[np.float32], size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the joined cells that lack most; gaps in a word are bridged."""
    labels, _ = ndimage.label(ndimage.binary_dilation(lost > 0, np.ones((5, 9), bool)))
    sums = np.bincount(labels.ravel(), weights=lost.ravel())
    sums[0] = 0
    rows, cols = ndimage.find_objects((labels == sums.argmax()).astype(np.uint8))[0]
    return (
        CELL * cols.start,
        CELL * rows.start,
        min(size[1], CELL * cols.stop),
        min(size[0], CELL * rows.stop),
    )
