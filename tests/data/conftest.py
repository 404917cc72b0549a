from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def _pixels(height: int, width: int, seed: int) -> np.ndarray:
    """Dark squares on light, slightly coloured paper: no two places are alike."""
    rng = np.random.default_rng(seed)
    ink = np.kron(rng.random((height // 8 + 1, width // 8 + 1)) < 0.3, np.ones((8, 8)))[:height, :width] > 0
    paper = rng.integers(190, 250, (height, width, 3))
    return np.where(ink[..., None], rng.integers(20, 60, (height, width, 3)), paper).astype(np.uint8)


@pytest.fixture
def pixels() -> Callable[[int, int, int], np.ndarray]:
    """A page (height, width, 3) of dark squares on light paper, by its seed."""
    return _pixels


@pytest.fixture
def write() -> Callable[..., Path]:
    """Save an array as an image; folders are made."""

    def save(path: Path, array: np.ndarray, **options: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path, **options)
        return path

    return save


@pytest.fixture
def paired(tmp_path, write) -> Path:
    """Five pages with truths, of different sizes, in `img` and `gt` folders."""
    for i, (height, width) in enumerate([(90, 70), (64, 120), (40, 150), (130, 50), (80, 80)]):
        image = _pixels(height, width, i)
        write(tmp_path / "set" / "img" / f"{i}.png", image)
        write(tmp_path / "set" / "gt" / f"{i}.png", np.where(image.mean(2) < 128, 0, 255).astype(np.uint8))
    return tmp_path / "set"
