from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import ndimage

from flowkit.errors import FlowkitError
from flowkit.evaluation.baselines import baseline, is_baseline, origin, otsu


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    page = rng.integers(150, 220, (60, 70))
    page[20:40, 10:60] = rng.integers(10, 90, (20, 50))
    return np.stack([page] * 3, -1).astype(np.uint8)


def test_otsu_is_at_hand_without_doxapy(monkeypatch, image):
    monkeypatch.setitem(sys.modules, "doxapy", None)
    assert baseline("otsu") is otsu
    assert otsu(image)[20:40, 10:60].all()
    assert is_baseline("otsu")
    assert not is_baseline("sauvola")
    with pytest.raises(FlowkitError, match=r"need doxapy: pip install 'flowkit-nf\[doxa\]'"):
        baseline("sauvola")


def test_otsu_is_doxapys_otsu(image):
    doxapy = pytest.importorskip("doxapy")
    grey = image[..., 0].copy()
    run = doxapy.Binarization(doxapy.Binarization.Algorithms.OTSU)
    run.initialize(grey)
    out = np.empty_like(grey)
    run.to_binary(out, {})
    assert np.array_equal(otsu(image), out == 0)


def test_niblack_is_its_formula(image):
    """mean + 0.2 deviation of a 75 x 75 window, cut off at the page's edge: doxapy's defaults."""
    pytest.importorskip("doxapy")
    grey = image[..., 0].astype(float)
    ones = ndimage.uniform_filter(np.ones_like(grey), 75, mode="constant")
    mean = ndimage.uniform_filter(grey, 75, mode="constant") / ones
    square = ndimage.uniform_filter(grey**2, 75, mode="constant") / ones
    expected = grey <= mean + 0.2 * np.sqrt(square - mean**2)
    assert (baseline("niblack")(image) == expected).mean() > 0.999


def test_unknown_names_are_answered_with_the_nearest():
    pytest.importorskip("doxapy")
    with pytest.raises(FlowkitError, match='no baseline "sauvolla"; did you mean "sauvola"?'):
        baseline("sauvolla")


def test_the_release_of_doxapy_is_told():
    doxapy_version = pytest.importorskip("importlib.metadata").version("doxapy")
    assert origin("otsu") == ()
    assert f"doxapy {doxapy_version}" in origin("su")[0]
