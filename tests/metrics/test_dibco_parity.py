"""The scores against doxapy 0.9.9 (see `make_dibco_golden.py`), and against published figures."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.data import find_pairs, load_pages
from flowkit.evaluation.baselines import otsu
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("year", "published"), [(2016, (86.59, 88.67, 17.79, 5.58)), (2018, (51.45, 53.05, 9.74, 59.07))]
)
def test_otsu_has_the_published_scores(data, year, published):
    scores = [
        dibco.evaluate(otsu(page.image), page.ink)
        for page in load_pages(find_pairs([data / "dibco" / str(year)]))
    ]
    for name, value in zip(("f_measure", "fps", "psnr", "drd"), published, strict=True):
        assert round(statistics.fmean(score[name] for score in scores), 2) == value
