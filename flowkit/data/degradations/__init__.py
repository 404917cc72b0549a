"""What happens to pages: registered, composable, seeded; for real pages and for drawn ones."""

from flowkit.data.degradations import blank, folds, ink, light, noise, optics, paper, stains, tone, verso
from flowkit.data.degradations.base import Between, Compose, Degradation, Range, Scene, draw
from flowkit.data.degradations.presets import PRESETS
from flowkit.data.degradations.spec import OneOf, degradations_file, degradations_from

__all__ = [
    "PRESETS",
    "Between",
    "Compose",
    "Degradation",
    "OneOf",
    "Range",
    "Scene",
    "blank",
    "degradations_file",
    "degradations_from",
    "draw",
    "folds",
    "ink",
    "light",
    "noise",
    "optics",
    "paper",
    "stains",
    "tone",
    "verso",
]
