"""Averages of the weights of two trainings of one model."""

from __future__ import annotations

import json
import os

import torch

from flowkit.checkpoint import (
    MODEL,
    RUN_PAGES,
    TRAIN_PAGES,
    fill,
    locate,
    pack,
    read_checkpoint,
    trained_on,
    write_checkpoint,
)
from flowkit.errors import CheckpointError
from flowkit.recipe import build, read_recipe_text


def blend(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    share: float = 0.5,
    dtype: torch.dtype | None = torch.float16,
) -> None:
    """Write (1 - share) * first + share * second, weight by weight, as a checkpoint.

    After fine-tuning, such a mean keeps what the first training knew better and most of what the second one
    added, often more of both than either (Wortsman et al., Robust fine-tuning of zero-shot models,
    arXiv:2109.01903). It is for weights of which the second began as the first; those of two runs from
    scratch have nothing in common.

    Args:
        first: a model that ships with flowkit, or a checkpoint.
        second: another one of the same model, whose recipe and counters the result gets. The pages of both
            count as trained on.
        out: the file to write.
        share: of the second, from 0 to 1.
        dtype: of the result's floating-point weights; None for the second's.

    Raises:
        CheckpointError: one cannot be loaded, or they are not of the same model.
        ValueError: a share out of range.
        OutputError: the file cannot be written.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, got {share}")
    (start, start_says), (end, end_says) = (read_checkpoint(locate(f), prefix=MODEL) for f in (first, second))
    if "recipe" not in end_says:
        raise CheckpointError(f"{second}: holds no recipe; flowkit's own checkpoints do")
    built = build(read_recipe_text(end_says["recipe"], origin=str(second)))
    fill(built, end, second)
    fill(built, start, first, recipe=start_says.get("recipe"))
    mean = {
        name: torch.lerp(start[name].double(), value.double(), share).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in end.items()
    }
    pages, last = (
        json.dumps(sorted(trained_on(first, last=which) | trained_on(second, last=which)))
        for which in (False, True)
    )
    says = {**end_says, TRAIN_PAGES: pages, RUN_PAGES: last}
    write_checkpoint(out, pack(mean, dtype=dtype), says)
