"""Small checkpoints with random weights, and pages to score them on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flowkit import build
from flowkit.checkpoint import RUN_PAGES, TRAIN_PAGES, pack, write_checkpoint
from flowkit.data.fingerprint import fingerprint
from flowkit.evaluation.protocols import OTHERS, YEARS

STEP = ["actnorm", "conv1x1", "affine_injector"]
BINARY = {
    "version": 1,
    "name": "tiny",
    "target": {"type": "binary"},
    "encoder": {"type": "unet", "widths": [4, 6]},
    "flow": ["squeeze", {"repeat": 1, "steps": STEP}],
}
DOUBLING = {
    "version": 1,
    "name": "doubling",
    "target": {"type": "continuous", "channels": 3},
    "encoder": {"type": "rrdb", "scale": 2, "features": 6, "growth": 4, "blocks": 1, "stack": [0]},
    "flow": ["squeeze", {"repeat": 1, "steps": STEP}],
}


@pytest.fixture
def checkpoint(tmp_path, perturb) -> Callable[..., Path]:
    """Write one; `pages` are the images (H, W, 3) that it says it was trained on, at `last` some of them."""

    def make(recipe=BINARY, name: str = "tiny.safetensors", pages=(), seed: int = 0, last=None) -> Path:
        torch.manual_seed(seed)
        model = perturb(build(recipe), seed)
        metadata = {"recipe": model.recipe, TRAIN_PAGES: json.dumps([fingerprint(page) for page in pages])}
        if last is not None:
            metadata[RUN_PAGES] = json.dumps([fingerprint(page) for page in last])
        write_checkpoint(tmp_path / name, pack(model.state_dict()), metadata)
        return tmp_path / name

    return make


@pytest.fixture
def binary_recipe() -> dict[str, Any]:
    return BINARY


@pytest.fixture
def doubling_recipe() -> dict[str, Any]:
    return DOUBLING


@pytest.fixture
def doubling(checkpoint) -> Path:
    return checkpoint(DOUBLING, "doubling.safetensors")


@pytest.fixture
def images(drawn) -> list[np.ndarray]:
    """The drawn pages, decoded."""
    return [np.asarray(Image.open(drawn / "img" / f"{i}.png")) for i in (0, 1)]


@pytest.fixture
def all_sets(drawn, tmp_path) -> Path:
    """A folder with every set of the protocols, each with the same two drawn pages in other colours."""
    root = tmp_path / "sets"
    for number, name in enumerate([*(f"dibco/{year}" for year in YEARS), *OTHERS]):
        shutil.copytree(drawn, root / name)
        for file in (root / name / "img").iterdir():
            image = np.array(Image.open(file))
            image[0, 0] = number  # pages must not be the same in two sets
            Image.fromarray(image).save(file)
    return root


@pytest.fixture
def truth() -> np.ndarray:
    """Return the ink of a page of two strokes."""
    ink = np.zeros((70, 90), bool)
    ink[10:20, 10:80] = True
    ink[40:45, 30:50] = True
    return ink
