"""A look at a page that is to be enlarged: whether it is as sharp and as even as what models were trained on.

Sharpness is that of strokes (`Strokes.sharpness`). Noise is the typical deviation on bare paper of
(a - b - c + d) / 2, where a, b, c, d are the pixels of a square of 2 x 2: even light and slopes cancel.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from flowkit.images.picture import Picture
from flowkit.pages.strokes import CELL, Strokes, grey_of, strokes

SOFT = 0.6
"""Least sharpness in training: of small pages blurred by a Gaussian of sigma 1."""

NOISY = 12.0
"""Most noise in training, in grey levels: noise of 5 % gives 7 to 11."""

_FEW = 10  # cells; less says nothing about a page


def unlike_training(picture: Picture) -> tuple[str, ...]:
    """Say what of the page no training patch of the models that enlarge has, a sentence each."""
    found = strokes(picture)
    said = []
    if (found.strong > 0).sum() >= _FEW and found.sharpness < SOFT:
        said.append(
            f"it is softer (sharpness {found.sharpness:.2f}) than what was trained on ({SOFT:g} or more): "
            "reduce it first, or compare with bicubic interpolation"
        )
    noise = _noise(picture, found)
    if noise > NOISY:
        said.append(
            f"its noise, {noise:.0f} grey levels, is more than what was trained on ({NOISY:g} at most): "
            "compare with bicubic interpolation"
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
