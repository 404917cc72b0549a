"""The scores of the DIBCO binarization contests, of one page against its truth.

Ink is the positive class, black in the contests' files. TP, FP, FN and TN count pixels; the contour of the
truth is its ink that has one of 4 neighbours outside the ink, and what is outside the image is not ink.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.errors import DataError
from flowkit.metrics.pseudo_weights import weights
from flowkit.metrics.thinning import skeleton

Ink = NDArray[np.bool_]

SCORES = ("f_measure", "fps", "pfm_skel", "psnr", "drd", "nrm", "mpm", "recall", "precision")
"""The scores of `evaluate`, in order."""

BLOCK = 8
_AROUND = [(i, j) for i in range(-2, 3) for j in range(-2, 3) if i or j]
_ALL = sum(1 / math.hypot(i, j) for i, j in _AROUND)


@dataclass(frozen=True, eq=False)
class Truth:
    """A truth, and the maps that scores need, computed at first use and kept.

    Args:
        ink: boolean (H, W), ink is True.
    """

    ink: Ink

    @cached_property
    def weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weights of recall and precision; see `flowkit.metrics.pseudo_weights`."""
        return weights(self.ink)

    @cached_property
    def skeleton(self) -> Ink:
        """Return the skeleton of the strokes."""
        return skeleton(self.ink)

    @cached_property
    def contour_distance(self) -> NDArray[np.float64]:
        """Return the Euclidean distance of every pixel to the contour; infinite where there is no ink."""
        contour = self.ink & ~ndimage.binary_erosion(self.ink)
        if not contour.any():
            return np.full(self.ink.shape, np.inf)
        return np.asarray(ndimage.distance_transform_edt(~contour))

    @cached_property
    def mixed_blocks(self) -> int:
        """Return NUBN: the complete 8x8 blocks, counted from the top left, with both ink and paper."""
        height, width = (side // BLOCK for side in self.ink.shape)
        blocks = self.ink[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width, BLOCK)
        count = blocks.sum((1, 3))
        return int(np.count_nonzero((count > 0) & (count < BLOCK * BLOCK)))


def evaluate(pred: Ink, truth: Ink | Truth) -> dict[str, float]:
    """Score a binarization against the truth.

    In percent, 100 at best:

    - `recall` = 100 TP / (TP + FN), `precision` = 100 TP / (TP + FP), and `f_measure`, their harmonic mean
      2 R P / (R + P).
    - `fps`, the weighted pseudo F-measure of 2013, which DIBCO ranks by since then: the harmonic mean of
      Rps = 100 sum_TP(w_R) / sum_ink(w_R) and Pps = 100 sum_TP(1 + w_P) / sum_pred(1 + w_P), with the weights
      of `flowkit.metrics.pseudo_weights`.
    - `pfm_skel`, the pseudo F-measure of 2010 (Pratikakis et al., H-DIBCO 2010), which many papers print
      under the same name: the harmonic mean of precision and of the share of the truth's skeleton that was
      found.

    Better the higher:

    - `psnr` = 10 log10(N / (FP + FN)), in dB; infinite for a perfect page.

    Better the lower, 0 at best:

    - `drd` = sum_k DRD_k / NUBN over the wrong pixels k (Lu, Kot, Shi, IEEE SPL 11(2), 2004): DRD_k adds up,
      over the 5x5 pixels around k that differ in the truth from `pred` at k, the reciprocal distance to k,
      all weights together being 1; pixels outside the image count as equal. NUBN is the number of complete
      8x8 blocks of the truth that hold both ink and paper.
    - `nrm` = (FN / (FN + TP) + FP / (FP + TN)) / 2, the negative rate metric.
    - `mpm` = (sum_FN d + sum_FP d) / (2 D), the misclassification penalty: d is the Euclidean distance to the
      contour of the truth, D its sum over all pixels. Contests print 1000 times as much.

    A percentage without denominator is 100 where there was nothing to find and nothing was found, else 0. A
    rate of `nrm` without denominator is 0: nothing could be wrong. `drd` and `mpm` without denominator are 0
    for a perfect page, else infinite.

    Args:
        pred: boolean (H, W), ink is True.
        truth: the same shape. What is computed from a truth is kept for the next pages to be compared with
            it: of the last few arrays, or for as long as you keep the `Truth`.

    Raises:
        DataError: arrays that are not boolean, not of two dimensions, empty, or of different shapes.

    >>> import numpy as np
    >>> scores = evaluate(np.array([[True, True]]), np.array([[True, False]]))
    >>> scores["recall"], scores["precision"], round(scores["f_measure"], 2), round(scores["psnr"], 2)
    (100.0, 50.0, 66.67, 3.01)
    """
    ink = truth.ink if isinstance(truth, Truth) else truth
    for name, array in (("pred", pred), ("truth", ink)):
        if array.dtype != np.bool_:
            raise DataError(f"{name} must be boolean, ink is True; got {array.dtype}")
        if array.ndim != 2 or not array.size:
            raise DataError(f"{name} must be (H, W) with at least one pixel, got {array.shape}")
    if pred.shape != ink.shape:
        raise DataError(f"pred is {pred.shape}, but truth is {ink.shape}")
    known = truth if isinstance(truth, Truth) else _known(ink.shape, np.packbits(ink).tobytes())
    hits = int(np.count_nonzero(pred & ink))
    found, wanted = int(np.count_nonzero(pred)), int(np.count_nonzero(ink))
    wrong = pred ^ ink
    errors = int(np.count_nonzero(wrong))
    recall, precision = _percent(hits, wanted, found), _percent(hits, found, wanted)
    return {
        "f_measure": _harmonic(recall, precision),
        "fps": _weighted(pred, known, found, wanted),
        "pfm_skel": _harmonic(_skeleton_recall(pred, known, found), precision),
        "psnr": 10 * math.log10(ink.size / errors) if errors else math.inf,
        "drd": _distortion(pred, known, wrong) if errors else 0.0,
        "nrm": (_rate(wanted - hits, wanted) + _rate(found - hits, ink.size - wanted)) / 2,
        "mpm": _penalty(known, wrong) if errors else 0.0,
        "recall": recall,
        "precision": precision,
    }


@lru_cache(maxsize=4)
def _known(shape: tuple[int, int], packed: bytes) -> Truth:
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=math.prod(shape))
    return Truth(bits.reshape(shape).astype(bool))


def _percent(part: float, whole: float, other: float) -> float:
    if whole:
        return 100 * part / whole
    return 0.0 if other else 100.0


def _rate(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _harmonic(recall: float, precision: float) -> float:
    total = recall + precision
    return 2 * recall * precision / total if total else 0.0


def _weighted(pred: Ink, truth: Truth, found: int, wanted: int) -> float:
    of_recall, of_precision = truth.weights
    both = pred & truth.ink
    recall = _percent(float(of_recall[both].sum()), float(of_recall.sum()), found)
    hits = int(np.count_nonzero(both)) + float(of_precision[both].sum())
    return _harmonic(recall, _percent(hits, found + float(of_precision[pred].sum()), wanted))


def _skeleton_recall(pred: Ink, truth: Truth, found: int) -> float:
    return _percent(
        int(np.count_nonzero(pred & truth.skeleton)), int(np.count_nonzero(truth.skeleton)), found
    )


def _distortion(pred: Ink, truth: Truth, wrong: Ink) -> float:
    """Sum over the wrong pixels, which are few, for each of the 24 neighbours in turn."""
    y, x = np.nonzero(wrong)
    height, width = truth.ink.shape
    value = pred[y, x]
    total = 0.0
    for i, j in _AROUND:
        inside = (y + i >= 0) & (y + i < height) & (x + j >= 0) & (x + j < width)
        differs = truth.ink[y[inside] + i, x[inside] + j] != value[inside]
        total += int(np.count_nonzero(differs)) / math.hypot(i, j) / _ALL
    if truth.mixed_blocks:
        return total / truth.mixed_blocks
    return math.inf


def _penalty(truth: Truth, wrong: Ink) -> float:
    """Compute MPM; all distances are 0 if every pixel is on the contour, infinite if there is none."""
    whole = float(truth.contour_distance.sum())
    if 0 < whole < math.inf:
        return float(truth.contour_distance[wrong].sum()) / (2 * whole)
    return math.inf
