"""The scores of an image at high resolution against the true one. Images are 8-bit, (H, W) or (H, W, 3)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.data.tasks import Kernel, reduce
from flowkit.errors import DataError

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

WINDOW, SIGMA = 11, 1.5
MARGIN = WINDOW // 2
_LUMA = np.array([0.299, 0.587, 0.114])


def luma(image: Image8) -> NDArray[np.float64]:
    """Return Y of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B, (H, W), not rounded; grey unchanged."""
    if image.ndim == 2:
        return image.astype(np.float64)
    return np.asarray(image.astype(np.float64) @ _LUMA)


def psnr(image: Image8, truth: Image8, where: Mask | None = None) -> float:
    """Return 10 log10(255^2 / mean (Y - Y_truth)^2) over all pixels or `where`, in dB; infinite if equal.

    >>> black = np.zeros((4, 5), np.uint8)
    >>> round(psnr(black + 51, black), 3)  # a fifth of the range
    13.979
    """
    _check(image, truth, where)
    difference = luma(image) - luma(truth)
    return _decibel(difference if where is None else difference[where])


def ssim(image: Image8, truth: Image8, where: Mask | None = None) -> float:
    """Return the structural similarity of luma (Wang et al., IEEE TIP 13(4), 2004); 1 at best.

    The mean of (2 m_x m_y + C1)(2 s_xy + C2) / ((m_x^2 + m_y^2 + C1)(s_x^2 + s_y^2 + C2)), where means,
    variances and the covariance are weighted by a Gaussian of 11 x 11 pixels and sigma 1.5 whose weights add
    up to 1, C1 = (0.01 x 255)^2 and C2 = (0.03 x 255)^2. As in the authors' code, only windows that lie
    within the image count, and of those the ones with their middle in `where`; unlike there, large images are
    not reduced first.

    Raises:
        DataError: shapes that differ, less than 11 pixels a side, or no window to count.
    """
    _check(image, truth, where)
    if min(truth.shape[:2]) < WINDOW:
        raise DataError(f"SSIM needs {WINDOW} x {WINDOW} pixels or more, got {truth.shape[:2]}")
    x, y = luma(image), luma(truth)
    m_x, m_y = _mean(x), _mean(y)
    s_x, s_y, s_xy = _mean(x * x) - m_x**2, _mean(y * y) - m_y**2, _mean(x * y) - m_x * m_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    numerator = (2 * m_x * m_y + c1) * (2 * s_xy + c2)
    similarity = numerator / ((m_x**2 + m_y**2 + c1) * (s_x + s_y + c2))
    if where is None:
        return float(similarity.mean())
    counted = similarity[where[MARGIN:-MARGIN, MARGIN:-MARGIN]]
    if not counted.size:
        raise DataError("SSIM has no window whose middle counts")
    return float(counted.mean())


def consistency(image: Image8, low: Image8, scale: int, kernel: Kernel = "bicubic") -> float:
    """Return the PSNR of an image, reduced again, against its source, over all channels, in dB.

    Reduced as training data is (`flowkit.data`), by default by antialiased bicubic interpolation.

    Raises:
        DataError: the image is not `scale` times its source.
    """
    if image.shape[:2] != (scale * low.shape[0], scale * low.shape[1]) or image.ndim != low.ndim:
        raise DataError(f"expected {scale} times the size of {low.shape}, got {image.shape}")
    return _decibel(reduce(image, scale, kernel).astype(np.float64) - low)


def diversity(samples: NDArray[np.uint8]) -> float:
    """Return the standard deviation of a pixel over samples (N, H, W, ...), mean over pixels and channels.

    With N - 1 in the denominator; in grey levels, 0 for samples that are all the same.

    Raises:
        DataError: there are less than two samples.

    >>> diversity(np.array([[[10, 20]], [[12, 20]]], np.uint8)).__round__(3)
    0.707
    """
    if len(samples) < 2:
        raise DataError(f"diversity is of 2 samples or more, got {len(samples)}")
    return float(samples.std(0, ddof=1, dtype=np.float64).mean())


def _check(image: Image8, truth: Image8, where: Mask | None) -> None:
    for name, array in (("image", image), ("truth", truth)):
        if array.dtype != np.uint8 or array.ndim not in (2, 3) or not array.size:
            raise DataError(f"{name} must be 8-bit, (H, W) or (H, W, 3), got {array.dtype} {array.shape}")
    if image.shape[:2] != truth.shape[:2]:
        raise DataError(f"image is {image.shape[:2]}, but truth is {truth.shape[:2]}")
    if where is not None and (where.shape != truth.shape[:2] or not where.any()):
        raise DataError(f"expected a mask of {truth.shape[:2]} with pixels, got {where.shape}, {where.sum()}")


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(-0.5 * (np.arange(-MARGIN, MARGIN + 1) / SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        values = ndimage.correlate1d(values, weights, axis)
    return values[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _decibel(difference: NDArray[np.float64]) -> float:
    error = float((difference**2).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf
