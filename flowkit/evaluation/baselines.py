"""What a model has to beat: binarization without learning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def otsu(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Ink where grey is at or below the threshold that splits the histogram best.

    Otsu, IEEE TSMC 9(1), 1979. The threshold t maximises the variance between the classes, w0 w1 (m0 -
    m1)^2, for grey <= t and grey > t.

    Args:
        image: (H, W, 3), RGB; grey is its luma (ITU-R BT.601).

    Returns:
        (H, W), ink is True; nothing is ink where all pixels are equal.

    >>> otsu(np.array([[[9, 9, 9], [250, 250, 250]]], np.uint8))
    array([[ True, False]])
    """
    grey = np.asarray(Image.fromarray(image).convert("L"))
    histogram = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    below = np.cumsum(histogram)
    above = below[-1] - below
    sums = np.cumsum(histogram * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    if not np.nanmax(between, initial=0) > 0:
        return np.zeros(grey.shape, np.bool_)
    return np.asarray(grey <= np.nanargmax(between))
