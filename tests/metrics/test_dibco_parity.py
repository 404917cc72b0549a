"""The scores against doxapy 0.9.9 (see `make_dibco_golden.py`)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.metrics import dibco
from flowkit.metrics.pseudo_weights import weights

GOLDEN = Path(__file__).parent / "golden"
DOXAPY = json.loads((GOLDEN / "doxapy.json").read_text())
NAMES = {
    "f_measure": "fm",
    "psnr": "psnr",
    "drd": "drdm",
    "nrm": "nrm",
    "recall": "recall",
    "precision": "precision",
}


def page(name: str) -> np.ndarray:
    return ~np.asarray(Image.open(GOLDEN / f"{name}.png"))


@pytest.mark.parametrize("name", DOXAPY)
def test_scores_of_drawn_pages_are_those_of_doxapy(name):
    scores = dibco.evaluate(page(f"{name}_pred"), page(f"{name}_truth"))
    assert scores["f_measure"] < 99
    for ours, theirs in NAMES.items():
        assert scores[ours] == pytest.approx(DOXAPY[name][theirs], rel=1e-6), ours
    assert scores["fps"] == pytest.approx(DOXAPY[name]["pseudo_fm"], abs=1e-9)


@pytest.mark.parametrize("name", DOXAPY)
def test_weights_of_drawn_pages_are_those_of_doxapy(name):
    recall, precision = weights(page(f"{name}_truth"))
    assert recall.sum() == pytest.approx(DOXAPY[name]["sum_recall_weights"], rel=1e-12)
    assert precision.sum() == pytest.approx(DOXAPY[name]["sum_precision_weights"], rel=1e-12)
