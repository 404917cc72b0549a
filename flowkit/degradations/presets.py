"""Named lists of degradations, in the language of `degradations_from`."""

from __future__ import annotations

from typing import Any

# For the first training of the shipped weights: light, colour, noise, sometimes a page that shines through.
_LIGHT: list[Any] = [
    {"type": "show_through", "probability": 0.3},
    "gamma",
    "contrast",
    "tint",
    {"type": "grey", "probability": 0.3},
    {"type": "uneven_light", "slope": [0.0, 0.2], "shadow": [0.0, 0.0]},
    "noise",
]

# Old pages as archives have them. Changes of the ink come first, then the paper and the liquids spilt
# on it, then light, lens, sensor and file. Most pages get a few of these, few pages many.
_ARCHIVE: list[Any] = [
    {"type": "fade", "probability": 0.3},
    {"type": "worn_ink", "probability": 0.2},
    {"type": "ruled_lines", "probability": 0.07},
    {"type": "one_of", "of": ["show_through", "bleed_through"], "probability": 0.5},
    {"type": "paper_tone", "probability": 0.4},
    {"type": "paper_grain", "probability": 0.6},
    {"type": "laid_lines", "probability": 0.1},
    {"type": "fibres", "probability": 0.15},
    {"type": "stain", "probability": 0.3},
    {"type": "stain", "count": [1, 2], "size": [0.01, 0.06], "strength": [0.5, 2.0], "probability": 0.08},
    {"type": "water_ring", "probability": 0.15},
    {"type": "foxing", "probability": 0.15},
    {"type": "panel", "probability": 0.08},
    {"type": "fold", "probability": 0.15},
    {"type": "crease", "probability": 0.08},
    {"type": "uneven_light", "slope": [0.0, 0.3], "probability": 0.6},
    {"type": "one_of", "of": ["vignette", "gutter_shadow"], "probability": 0.2},
    {"type": "one_of", "of": ["defocus", "defocus", "motion_blur"], "probability": 0.35},
    {"type": "gamma", "probability": 0.7},
    {"type": "contrast", "contrast": [0.45, 1.15], "probability": 0.7},
    {"type": "tint", "probability": 0.5},
    {"type": "grey", "probability": 0.35},
    {"type": "noise", "probability": 0.6},
    {"type": "salt_and_pepper", "probability": 0.06},
    {"type": "jpeg", "probability": 0.4},
]

# Artificial ageing of real pages, which have paper of their own, so that none is laid under them.
_AGED: list[Any] = [
    {"type": "fade", "everywhere": [0.0, 0.4], "regions": [0.1, 0.6], "probability": 0.25},
    {"type": "one_of", "of": ["show_through", "bleed_through"], "probability": 0.45},
    {"type": "stain", "probability": 0.35},
    {"type": "stain", "count": [1, 2], "size": [0.02, 0.1], "strength": [0.4, 1.6], "probability": 0.1},
    {"type": "water_ring", "probability": 0.15},
    {"type": "foxing", "probability": 0.1},
    {"type": "panel", "probability": 0.08},
    {"type": "fold", "probability": 0.12},
    {"type": "crease", "probability": 0.06},
    {"type": "uneven_light", "slope": [0.0, 0.3], "probability": 0.6},
    {"type": "one_of", "of": ["vignette", "gutter_shadow"], "probability": 0.15},
    {"type": "defocus", "sigma": [0.3, 1.0], "probability": 0.15},
    "gamma",
    {"type": "contrast", "contrast": [0.5, 1.15]},
    "tint",
    {"type": "grey", "probability": 0.3},
    {"type": "noise", "probability": 0.8},
    {"type": "jpeg", "probability": 0.3},
]

PRESETS: dict[str, list[Any]] = {
    "light": _LIGHT,
    "archive": _ARCHIVE,
    "aged": _AGED,
    # Any ink on any paper: unseen pages are other pairs of the two.
    "light_moved": [{"type": "other_paper", "probability": 0.4}, *_LIGHT],
    "aged_moved": [{"type": "other_paper", "probability": 0.5}, *_AGED],
    # Any scan: as `aged_moved`, with real stains and papers where the working folder has them, and pictures.
    "scans": [
        {"type": "other_paper", "probability": 0.4},
        {"type": "picture", "probability": 0.05},
        {"type": "photographed_paper", "folder": "papers/doccreator_paper", "probability": 0.08},
        {"type": "photographed_stains", "folder": "papers/doccreator_stains", "probability": 0.12},
        {
            "type": "photographed_stains",
            "folder": "papers/lshdib_stains",
            "count": [1, 1],
            "probability": 0.03,
        },
        *_AGED,
    ],
}
