"""Connected components of a binarization against those of the truth: broken and merged strokes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.errors import DataError

Ink = NDArray[np.bool_]

_EIGHT = np.ones((3, 3), int)


class Components(NamedTuple):
    """Counts of 8-connected pieces of ink; those of several pages can be added with `+`.

    Attributes:
        truth: components of the truth.
        broken: of these, how many lie in two or more components of the binarization.
        merged: of these, how many share a component of the binarization with another one.
        lost: of these, how many have no pixel in the binarization.
        made_up: components of the binarization without a pixel of the truth's ink.
    """

    truth: int = 0
    broken: int = 0
    merged: int = 0
    lost: int = 0
    made_up: int = 0

    def __add__(self, other: tuple[object, ...]) -> Components:
        if not isinstance(other, Components):
            return NotImplemented
        return Components(*(a + b for a, b in zip(self, other, strict=True)))


def compare(pred: Ink, truth: Ink) -> Components:
    """Count the components of two boolean (H, W) images, ink being True, that meet.

    Raises:
        DataError: the shapes differ.

    >>> row = np.array([list("###.#.##..")]) == "#"
    >>> compare(np.array([list("#.#####..#")]) == "#", row)
    Components(truth=3, broken=1, merged=3, lost=0, made_up=1)
    """
    if pred.shape != truth.shape:
        raise DataError(f"pred is {pred.shape}, but truth is {truth.shape}")
    (found, found_count), (true, true_count) = (ndimage.label(ink, _EIGHT) for ink in (pred, truth))
    both = pred & truth
    # each pair of components that meet, once
    pairs = np.unique(found[both].astype(np.int64) * (true_count + 1) + true[both])
    of_found, of_true = np.divmod(pairs, true_count + 1)
    pieces = np.bincount(of_true, minlength=true_count + 1)[1:]
    inside = np.bincount(of_found, minlength=found_count + 1)
    sharing = np.unique(of_true[inside[of_found] > 1])
    return Components(
        truth=true_count,
        broken=int((pieces > 1).sum()),
        merged=len(sharing),
        lost=int((pieces == 0).sum()),
        made_up=int((inside[1:] == 0).sum()),
    )


def count(ink: Ink) -> int:
    """Return the number of components."""
    return int(ndimage.label(ink, _EIGHT)[1])
