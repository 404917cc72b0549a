"""Degradations of real and drawn pages: registered, composable, seeded."""

from flowkit.degradations import (
    bare_paper,
    folds,
    ink,
    light,
    noise,
    optics,
    paper,
    photographs,
    picture,
    show_through,
    stains,
    tone,
)
from flowkit.degradations.base import Between, Compose, Degradation, Range, Scene, draw
from flowkit.degradations.presets import PRESETS
from flowkit.degradations.spec import OneOf, degradations_file, degradations_from

__all__ = [
    "PRESETS",
    "Between",
    "Compose",
    "Degradation",
    "OneOf",
    "Range",
    "Scene",
    "bare_paper",
    "degradations_file",
    "degradations_from",
    "draw",
    "folds",
    "ink",
    "light",
    "noise",
    "optics",
    "paper",
    "photographs",
    "picture",
    "show_through",
    "stains",
    "tone",
]
