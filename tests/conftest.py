from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from flowkit.data.degrade import degrade
from flowkit.data.draw import draw_page

torch.set_num_threads(1)  # tests are small: threads would only wait for one another


def _perturb(module: nn.Module, seed: int = 0, amount: float = 0.2) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(amount * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return module


@pytest.fixture
def perturb() -> Callable[..., nn.Module]:
    """Random, non-zero weights: many networks start at zero, where a wrong formula is still right."""
    return _perturb


@pytest.fixture
def data() -> Path:
    """The real pages that FLOWKIT_DATA names; tests that want them skip without."""
    folder = os.environ.get("FLOWKIT_DATA")
    if not folder or not Path(folder, "dibco").is_dir():
        pytest.skip("FLOWKIT_DATA does not name a folder with real pages (dibco/...)")
    return Path(folder)


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
