from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.data.degrade import degrade
from flowkit.data.draw import draw_page

TINY = {
    "version": 1,
    "name": "tiny",
    "vars": {"steps": 1},
    "target": {"type": "binary"},
    "encoder": {"type": "unet", "widths": [4, 6]},
    "flow": ["squeeze", {"repeat": "$steps", "steps": ["actnorm", "conv1x1", "affine_injector"]}],
    "train": {"steps": 6, "batch": 2, "patch": 32, "warmup": 2, "lr": 0.01},
}


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """Two drawn pages and their truths, as `img` and `gt` folders."""
    folder = tmp_path_factory.mktemp("drawn") / "set"
    (folder / "img").mkdir(parents=True)
    (folder / "gt").mkdir()
    for i, size in enumerate([(120, 90), (40, 150)]):
        rng = np.random.default_rng(i)
        ink = draw_page(*size, rng)
        Image.fromarray(degrade(ink, rng)).save(folder / "img" / f"{i}.png")
        Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)).convert("1").save(folder / "gt" / f"{i}.png")
    return folder
