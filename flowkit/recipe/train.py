"""The `train` section of a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

from flowkit.errors import RecipeError
from flowkit.recipe.document import short

_Rule = tuple[Callable[[Any], bool], str]

_RULES: dict[str, _Rule] = {
    "steps": (lambda n: n >= 1, "must be 1 or more"),
    **dict.fromkeys(("batch", "patch"), (lambda n: 1 <= n <= 16_384, "must be from 1 to 16,384")),
    **dict.fromkeys(("warmup", "weight_decay", "seed"), (lambda n: n >= 0, "must be 0 or more")),
    "lr": (lambda n: 0 < n < math.inf, "must be more than 0, and finite"),
    "clip": (lambda n: n > 0, "must be more than 0"),
    "ema": (lambda n: 0 <= n < 1, "must be 0 or more, and less than 1"),
}


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a recipe asks to be trained.

    Attributes:
        steps: optimiser steps in all.
        batch: patches per step.
        patch: side of a patch, in target pixels.
        lr: learning rate after the warm-up.
        warmup: steps over which the learning rate rises from 0.
        schedule: what the learning rate does after them: falls to 0 along half a cosine, or stays.
        weight_decay: AdamW's.
        clip: the norm that gradients are clipped to; `.inf` for no clipping.
        ema: decay, per step, of the averaged weights; 0 for no averaging.
        seed: of the weights, the patches and the noise.

    Raises:
        RecipeError: a value out of range.
    """

    steps: int = 20_000
    batch: int = 8
    patch: int = 160
    lr: float = 1e-3
    warmup: int = 200
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        found = [check_range(f.name, getattr(self, f.name)) for f in fields(self)]
        if any(found):
            raise RecipeError("\n".join(message for message in found if message))


def check_range(name: str, value: Any) -> str | None:
    """What is wrong with the value of a train option that has the right type; None if nothing is.

    >>> check_range("ema", 1.0)
    'option "ema" of train must be 0 or more, and less than 1, got 1.0'
    """
    allowed, expected = _RULES.get(name, (lambda value: True, ""))
    return None if allowed(value) else f'option "{name}" of train {expected}, got {short(value)}'
