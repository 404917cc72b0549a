"""The `train` section of a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from flowkit import registry
from flowkit.errors import RecipeError, RegistryError
from flowkit.recipe.document import short

_Rule = tuple[Callable[[Any], bool], str]


def _shares(found: list[float]) -> bool:
    return all(0 < share < 1 for share in found) and found == sorted(found)


def _degradations(found: Any) -> bool:
    return not isinstance(found, list) or all(isinstance(d, str) or "type" in d for d in found)


def _zoom(found: list[float]) -> bool:
    return len(found) == 2 and 0.25 <= found[0] <= found[1] <= 4


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("steps", "save_every", "log_every"), (lambda n: n >= 1, "must be 1 or more")),
    **dict.fromkeys(
        ("batch", "patch", "accumulate"), (lambda n: 1 <= n <= 16_384, "must be from 1 to 16,384")
    ),
    **dict.fromkeys(
        ("warmup", "weight_decay", "seed", "encoder_from", "validate_every", "kept_patches"),
        (lambda n: n >= 0, "must be 0 or more"),
    ),
    **dict.fromkeys(("keep", "validation_windows"), (lambda n: 1 <= n <= 10_000, "must be from 1 to 10,000")),
    "lr": (lambda n: 0 < n < math.inf, "must be more than 0, and finite"),
    "encoder_lr": (lambda n: n is None or 0 < n < math.inf, "must be more than 0, and finite"),
    "clip": (lambda n: n > 0, "must be more than 0"),
    "ema": (lambda n: 0 <= n < 1, "must be 0 or more, and less than 1"),
    "gamma": (lambda n: 0 < n <= 1, "must be more than 0, and 1 at most"),
    "milestones": (_shares, "must be rising shares of the steps, each between 0 and 1"),
    "losses": (
        lambda found: any(found.values()) and all(0 <= w < math.inf for w in found.values()),
        "must have weights of 0 or more, one of them more than 0",
    ),
    "zoom": (_zoom, "must be [least, most], from 0.25 to 4"),
    "degrade": (_degradations, 'must be a name, or a list of names and mappings with "type"'),
}


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The training options of a recipe.

    Attributes:
        steps: optimiser steps in all.
        batch: patches per forward pass, of one process.
        accumulate: forward passes per step. A step sees batch x accumulate x processes patches.
        patch: side of a patch, in target pixels.
        lr: learning rate after the warm-up.
        encoder_lr: the encoder's own; that of all else if not given.
        encoder_from: the step at which the encoder's weights begin to move.
        kept_patches: train on so many patches only, with features that the encoder, frozen for the whole run,
            computes once; 0 for new patches in every step.
        warmup: steps over which the learning rate rises from 0.
        schedule: what the learning rate does after them: falls to 1 % along half a cosine, falls by a factor
            at some steps, or stays.
        milestones: `step`: when it falls, as shares of `steps`.
        gamma: `step`: the factor.
        weight_decay: AdamW's.
        clip: the norm that gradients are clipped to; `.inf` for no clipping.
        ema: decay, per step, of the averaged weights; 0 for no averaging.
        precision: in which the networks compute; the flow's bijections stay in float32.
        recompute: whether steps of the flow are computed again in the backward pass, so that memory does not
            grow with their number; by default, if the flow has 8 or more. It costs time.
        losses: names and weights of what is minimised; `nll` is the method's own.
        degrade: what is done to the images: registered degradations, or the name of a set of them.
        zoom: the least and the most by which pieces are enlarged, for binary targets.
        seed: of the weights, the patches and the noise.
        save_every: steps between checkpoints.
        keep: how many of the latest checkpoints are kept, beside the best.
        validate_every: steps between validations; 0 for none.
        validation_windows: patch x patch windows of the validation pages, spread evenly, that are scored.
        log_every: steps between lines of the log.

    Raises:
        RecipeError: a value out of range.
    """

    steps: int = 20_000
    batch: int = 8
    accumulate: int = 1
    patch: int = 160
    lr: float = 1e-3
    encoder_lr: float | None = None
    encoder_from: int = 0
    kept_patches: int = 0
    warmup: int = 200
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    milestones: list[float] = field(default_factory=lambda: [0.5, 0.75, 0.9, 0.95])
    gamma: float = 0.5
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    precision: Literal["float32", "bfloat16"] = "float32"
    recompute: bool | None = None
    losses: dict[str, float] = field(default_factory=lambda: {"nll": 1.0})
    degrade: str | list[str | dict[str, Any]] | None = None
    zoom: list[float] = field(default_factory=lambda: [1.0, 1.0])
    seed: int = 0
    save_every: int = 500
    keep: int = 2
    validate_every: int = 500
    validation_windows: int = 32
    log_every: int = 20

    def __post_init__(self) -> None:
        found = [check_range(f.name, getattr(self, f.name)) for f in fields(self)]
        if self.kept_patches and self.encoder_from:
            found.append('option "kept_patches" of train freezes the encoder; leave "encoder_from" out')
        if any(found):
            raise RecipeError("\n".join(message for message in found if message))

    def moves_encoder(self, step: int) -> bool:
        """Return true if the encoder is trained in the step after `step` steps."""
        return not self.kept_patches and step >= self.encoder_from


def check_range(name: str, value: Any) -> str | None:
    """Return what is wrong with the value of a train option of the right type, or None.

    >>> check_range("ema", 1.0)
    'option "ema" of train must be 0 or more, and less than 1, got 1.0'
    """
    allowed, expected = _RULES.get(name, (lambda value: True, ""))
    if not allowed(value):
        return f'option "{name}" of train {expected}, got {short(value)}'
    if name == "losses":
        try:
            for loss in value:
                registry.get("loss", loss)
        except RegistryError as error:
            return str(error)
    return None
