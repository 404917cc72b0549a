"""The scores of the DIBCO binarization contests, of one page against its truth."""

from __future__ import annotations

import math

import numpy as np

from flowkit.errors import DataError


def evaluate(pred: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Score a binarization against the truth, pixel by pixel.

    With true positives TP = ink in both, FP = ink in `pred` only, FN = ink in `truth` only, of N pixels:

        recall     = 100 TP / (TP + FN)
        precision  = 100 TP / (TP + FP)
        f_measure  = 2 recall precision / (recall + precision)
        psnr       = 10 log10(N / (FP + FN)), in dB; infinite for a perfect page

    A ratio without denominator is 100 where there was nothing to find and nothing was found, else 0.

    Args:
        pred: boolean (H, W), ink is True.
        truth: the same shape.

    Raises:
        DataError: arrays that are not boolean, or of different shapes.

    >>> import numpy as np
    >>> scores = evaluate(np.array([[True, True]]), np.array([[True, False]]))
    >>> scores["recall"], scores["precision"], round(scores["f_measure"], 2), round(scores["psnr"], 2)
    (100.0, 50.0, 66.67, 3.01)
    """
    for name, array in (("pred", pred), ("truth", truth)):
        if array.dtype != np.bool_:
            raise DataError(f"{name} must be boolean, ink is True; got {array.dtype}")
    if pred.shape != truth.shape:
        raise DataError(f"pred is {pred.shape}, but truth is {truth.shape}")
    hits = int(np.count_nonzero(pred & truth))
    found, wanted = int(np.count_nonzero(pred)), int(np.count_nonzero(truth))
    wrong = found + wanted - 2 * hits
    recall, precision = _percent(hits, wanted, found), _percent(hits, found, wanted)
    total = recall + precision
    return {
        "f_measure": 2 * recall * precision / total if total else 0.0,
        "psnr": 10 * math.log10(truth.size / wrong) if wrong else math.inf,
        "recall": recall,
        "precision": precision,
    }


def _percent(part: int, whole: int, other: int) -> float:
    if whole:
        return 100 * part / whole
    return 0.0 if other else 100.0
