"""Baselines: binarization without learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit.errors import FlowkitError, suggest

Binarizer = Callable[[NDArray[np.uint8]], NDArray[np.bool_]]
"""A function from RGB pixels (H, W, 3) to ink (H, W), True where there is ink."""


def otsu(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Binarize by the threshold that splits the histogram of grey values best (Otsu).

    Otsu, IEEE TSMC 9(1), 1979. The threshold t maximises the variance between the classes, w0 w1 (m0 -
    m1)^2, for grey <= t and grey > t.

    Args:
        image: (H, W, 3), RGB; grey is its luma (ITU-R BT.601).

    Returns:
        (H, W), ink is True; without ink if all pixels are equal.

    >>> otsu(np.array([[[9, 9, 9], [250, 250, 250]]], np.uint8))
    array([[ True, False]])
    """
    grey = _grey(image)
    histogram = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    below = np.cumsum(histogram)
    above = below[-1] - below
    sums = np.cumsum(histogram * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    if not np.nanmax(between, initial=0) > 0:
        return np.zeros(grey.shape, np.bool_)
    return np.asarray(grey <= np.nanargmax(between))


def is_baseline(name: str) -> bool:
    """Return true if `baseline` has a method of this name, with the installed packages."""
    try:
        baseline(name)
    except FlowkitError:
        return False
    return True


def origin(name: str) -> Sequence[str]:
    """Return one sentence on the origin of a method that is not flowkit's own."""
    if name == "otsu":
        return ()
    return (f"Baselines other than otsu: doxapy {version('doxapy')}, default parameters; releases differ.",)


def baseline(name: str) -> Binarizer:
    """Return `otsu`, or one of doxapy's algorithms with its default parameters: sauvola, wolf, su, gatos, ...

    Raises:
        FlowkitError: doxapy is needed and not installed, or has no such algorithm.
    """
    if name == "otsu":
        return otsu
    algorithms = _doxapy().Binarization.Algorithms
    known = {key.lower(): key for key in dir(algorithms) if key.isupper()}
    if name not in known:
        raise FlowkitError(f'no baseline "{name}"; {suggest(name, {"otsu", *known})}')
    algorithm = getattr(algorithms, known[name])

    def binarize(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
        # this class exists in releases before and after 0.9.4
        run = _doxapy().Binarization(algorithm)
        grey = _grey(image)
        out = np.empty_like(grey)
        run.initialize(grey)
        run.to_binary(out, {})
        return np.asarray(out == 0)

    return binarize


def _doxapy() -> ModuleType:
    try:
        import doxapy
    except ImportError:
        raise FlowkitError("baselines other than otsu need doxapy: pip install 'flowkit-nf[doxa]'") from None
    module: ModuleType = doxapy
    return module


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(image).convert("L"))
