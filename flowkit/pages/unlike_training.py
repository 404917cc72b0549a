"""A look at a page that is to be enlarged: whether it is as sharp and as even as what models were trained on.

Sharpness is that of strokes (`Strokes.sharpness`). Noise is the typical deviation on bare paper of
(a - b - c + d) / 2, where a, b, c, d are the pixels of a square of 2 x 2: even light and slopes cancel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from flowkit.flow import ConditionalFlow
from flowkit.images.picture import Picture
from flowkit.pages.strokes import CELL, Strokes, grey_of, strokes
from flowkit.recipe import read_recipe_text


class Range(NamedTuple):
    """The range of pages that a model was trained on.

    Attributes:
        softest: the least sharpness.
        noisiest: the most noise, in grey levels.
    """

    softest: float
    noisiest: float


CLEAN = Range(0.8, 6.0)
"""Pages of trainings without degradations of the reduced images."""

WORN = Range(0.6, 12.0)
"""Pages of trainings with degradations: a Gaussian blur of sigma 1, noise of 5 % (7 to 11 grey levels)."""

_FEW = 10  # cells; less says nothing about a page


def trained_on(flow: ConditionalFlow) -> Range:
    """Return the range of a model's training, by its recipe."""
    recipe = None if flow.recipe is None else read_recipe_text(flow.recipe).resolved
    return WORN if recipe and recipe.get("train", {}).get("degrade") else CLEAN


def unlike_training(picture: Picture, trained: Range) -> tuple[str, ...]:
    """Say what of a page to be enlarged no page of the training had, a sentence each."""
    found = strokes(picture)
    said = []
    if (found.strong > 0).sum() >= _FEW and found.sharpness < trained.softest:
        said.append(
            f"it is softer (sharpness {found.sharpness:.2f}) than what was trained on "
            f"({trained.softest:g} or more): reduce it first, or compare with bicubic interpolation"
        )
    noise = _noise(picture, found)
    if noise > trained.noisiest:
        said.append(
            f"its noise, {noise:.0f} grey levels, is more than what was trained on "
            f"({trained.noisiest:g} at most): compare with bicubic interpolation"
        )
    return tuple(said)


def _noise(picture: Picture, found: Strokes) -> float:
    """Return the median over cells of bare paper of the noise in each; 0 where there are too few."""
    grey = grey_of(picture).astype(np.int16)
    mixed = grey[:-1, :-1] - grey[1:, :-1] - grey[:-1, 1:] + grey[1:, 1:]
    rows, columns = (side // CELL for side in mixed.shape)
    cells = mixed[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL)
    bare = ~ndimage.binary_dilation((found.strong > 0) | found.counts.any(0), np.ones((3, 3), bool))
    power = np.square(cells, dtype=np.float32).mean((1, 3))[bare[:rows, :columns]]
    return float(np.sqrt(np.median(power)) / 2) if power.size >= _FEW else 0.0
