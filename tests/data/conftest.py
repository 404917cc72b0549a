from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def paired(tmp_path, write, pixels) -> Path:
    """Five pages with truths, of different sizes, in `img` and `gt` folders."""
    for i, (height, width) in enumerate([(90, 70), (64, 120), (40, 150), (130, 50), (80, 80)]):
        image = pixels(height, width, i)
        write(tmp_path / "set" / "img" / f"{i}.png", image)
        write(tmp_path / "set" / "gt" / f"{i}.png", np.where(image.mean(2) < 128, 0, 255).astype(np.uint8))
    return tmp_path / "set"
