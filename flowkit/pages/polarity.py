"""The polarity of a page: dark ink on light paper, or light ink on dark."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from PIL import Image

from flowkit.images.picture import Picture
from flowkit.pages.strokes import grey_of

Invert = Literal["auto", "yes", "no"]
"""Inversion of a page before its ink is looked for; `auto`: of a page that is light on dark."""

NOTE = "the page is light on dark and was inverted (--invert no leaves it as it is)"

_REDUCED = 4  # a window's statistics need no single pixels
_WINDOW = 32  # reduced pixels: two lines of print at 300 dpi
_CONTRAST = 48  # grey levels between the darkest and the lightest of a window with writing
_LIGHT = 0.45  # less of a window is light: it is light on dark
_FEWEST = 4  # windows; a snippet of a few letters says too little
_MOST = 0.75  # this share of all windows with writing makes the page light on dark


def check_invert(invert: Invert) -> Invert:
    """Refuse another value than `auto`, `yes` or `no`.

    Raises:
        ValueError: it is another.
    """
    if invert not in get_args(Invert):
        raise ValueError(f"invert must be auto, yes or no, got {invert}")
    return invert


def dark_on_light(picture: Picture, invert: Invert) -> Picture:
    """Return the page with dark ink on light paper, with a note if it was inverted."""
    if invert == "no" or (invert == "auto" and not is_light_on_dark(picture)):
        return picture
    pixels = picture.pixels
    top = pixels.dtype.type(1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max)
    notes = (*picture.notes, NOTE) if invert == "auto" else picture.notes
    return replace(picture, pixels=top - pixels, notes=notes)


def is_light_on_dark(picture: Picture) -> bool:
    """Tell whether most windows with two tones, and the page as a whole, are mostly dark.

    A page that lies on a dark ground has dark surroundings but light windows around its text; a photograph or
    a dark band is a few windows. Neither makes a page light on dark.
    """
    grey = grey_of(picture)
    if min(grey.shape) < 2 * _REDUCED:
        return False
    small = np.asarray(Image.fromarray(grey).reduce(_REDUCED))
    if np.median(small) >= 128:
        return False
    rows, columns = (max(1, round(n / _WINDOW)) for n in small.shape)
    dark = written = 0
    for strip in np.array_split(small, rows):
        for window in np.array_split(strip, columns, axis=1):
            low, high = (float(value) for value in np.percentile(window, (2, 98)))
            if high - low >= _CONTRAST:
                written += 1
                dark += float((window > (low + high) / 2).mean()) < _LIGHT
    return written >= _FEWEST and dark >= _MOST * written
