from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from flowkit import read_recipe
from flowkit.training.job import Job
from flowkit.training.loop import Run
from flowkit.training.processes import Processes

ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture
def tiny() -> dict[str, Any]:
    """A recipe that trains in no time."""
    return {
        "version": 1,
        "name": "tiny",
        "vars": {"steps": 1},
        "target": {"type": "binary"},
        "encoder": {"type": "unet", "widths": [4, 6]},
        "flow": ["squeeze", {"repeat": "$steps", "steps": ["actnorm", "conv1x1", "affine_injector"]}],
        "train": {
            "steps": 6,
            "batch": 2,
            "patch": 32,
            "warmup": 2,
            "lr": 0.01,
            "log_every": 1,
            "validation_windows": 3,
        },
    }


@pytest.fixture
def job(tiny, drawn) -> Callable[..., Job]:
    """A job on drawn pages, its recipe changed by `overrides`."""

    def make(overrides: Any = None, **options: Any) -> Job:
        return Job(read_recipe(tiny, overrides), [drawn], ALONE, workers=0, **options)

    return make


@pytest.fixture
def run(job, tmp_path) -> Callable[..., Run]:
    """A run of such a job, in a folder of the test's own."""

    def make(overrides: Any = None, *, out: str = "run", resume: bool = False, **options: Any) -> Run:
        return Run(job(overrides, **options), tmp_path / out, resume=resume)

    return make
