"""A cursive hand with a pointed pen: letters as skeletons, joined into words, thick where the pen goes down.

A skeleton is the way of the pen on a grid where the small letters are 10 high and the long ones 22; x runs to
the right, y upwards from the line. The first stroke of a letter begins where that of the letter before ended.
"""

from __future__ import annotations

from copy import copy
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

Path2d = NDArray[np.float64]  # (points, 2)

_GRID = 10.0
_CAPITAL = 1.7  # capitals without a skeleton of their own are the small letters, written large
_HIGH = 6.0  # a letter that ends above this is joined from above
_SKELETONS = {
    "a": "0 1, 6 9, 4 10, 1 6, 1.5 1.5, 4 0, 7 4, 8 10, 8 4, 9 .4, 11 2",
    "b": "0 1, 4 10, 5 20, 3.5 22, 2.5 18, 2.4 6, 3 1, 5 0, 8 3, 8 8, 6.5 9, 8 7.6, 10 8",
    "c": "0 1, 5 8, 7 9, 4.5 10, 1.5 6, 2 1.5, 5 0, 8.5 2",
    "d": "0 1, 6 9, 4 10, 1 6, 1.5 1.5, 4 0, 7 4, 9 21, 8.2 10, 8 3, 9.3 .3, 11.5 2",
    "e": "0 1, 4 4, 7 7.5, 5.5 10, 2.5 8, 2 3, 4.3 0, 8.5 2",
    "f": "0 1, 4 8, 6 19, 4.5 22, 3 18, 3 0, 2.5 -9, 4 -10, 4.5 -4, 4 1, 8 2",
    "g": "0 1, 6 9, 4 10, 1 6, 1.5 2, 4 .5, 7 4, 8 10, 7.5 -4, 5 -10, 3 -8, 5 -3, 11 2",
    "h": "0 1, 4 10, 5 20, 3.5 22, 2.5 17, 2 0, 2.5 4, 5.5 9.5, 7.5 8.5, 7.5 3, 8.5 .2, 11 2",
    "i": "0 1, 2.5 7, 3.2 10, 2.8 4, 3.8 .2, 6.5 2; 4.4 15, 4.6 14",
    "j": "0 1, 3 7, 4 10, 3.5 -3, 1.5 -10, -.5 -8, 2 -3, 7 2; 5 15, 5.2 14",
    "k": "0 1, 4 10, 5 20, 3.5 22, 2.5 17, 2 0, 3 5, 6.5 9.5, 7 7.5, 4 5, 6.5 1.5, 8 0, 10 2",
    "l": "0 1, 4 10, 5 20, 3.5 22, 2.5 16, 2.5 3, 4 0, 7 2",
    "m": "0 1, 2.5 9, 3 8, 2.5 0, 3 4, 6 9.8, 7 8, 6.6 0, 7 4, 10 9.8, 11.2 8, 11 3, 12 .2, 14.5 2",
    "n": "0 1, 2.5 9, 3 8, 2.5 0, 3 4, 6 9.8, 7.5 8, 7.3 3, 8.4 .2, 11 2",
    "o": "0 1, 5 9, 3.5 10, 1 6, 1.5 1.5, 4 0, 7 3, 7 8, 5 10, 6 8, 9 8",
    "p": "0 1, 3 9, 3.5 10, 2.5 -10, 3 0, 5 9, 7.5 9, 8 4, 6 .3, 4 1.2, 7 .4, 10 2",
    "q": "0 1, 6 9, 4 10, 1 6, 1.5 2, 4 .5, 7 4, 8 10, 7.5 -9, 8.5 -10, 9 -4, 11 2",
    "r": "0 1, 2.5 10.5, 3.5 9, 6.3 9, 5.6 3, 6.8 .2, 9.3 2",
    "s": "0 1, 4 9, 4.6 10.5, 5 8, 6.5 4, 5.5 .5, 2.5 .8, 5 -.2, 9 2",
    "t": "0 1, 3 9, 4 17, 3.2 8, 3 2.5, 4.5 0, 7.5 2; .5 11.6, 4 12.2, 7 12.4",
    "u": "0 1, 2 8, 2.5 10, 2.2 3, 4 0, 7 3.5, 8 10, 7.7 4, 8.8 .2, 11 2",
    "v": "0 1, 2 9, 3 10, 3.5 4, 5 0, 7.5 5, 8 10, 9 8.5, 10.5 8.5",
    "w": "0 1, 2 9, 2.8 10, 2.6 3, 4.2 0, 6.5 3.5, 7.2 10, 7 3.5, 8.5 0, 11 4, 11.5 10, 12.5 8.5, 14 8.5",
    "x": "0 1, 2 9.5, 3.5 9, 5.5 1, 7.5 0, 9.5 2; 7.5 10, 4.5 5, 1.5 0",
    "y": "0 1, 2 8, 2.5 10, 2.2 4, 4 1, 7 4.5, 8 10, 7.4 -4, 5 -10, 3 -8, 5 -3, 11 2",
    "z": "0 1, 2 9, 6.5 9.2, 4 5, 1.5 .5, 5 1, 9 2",
    "A": "0 0, 3 8, 8 20, 9 10, 10 0; 3 7, 6 7.4, 9 8",
    "B": "3 20, 2.5 10, 2 0; 0 17, 5 20.5, 10 18, 8 12, 4 10.5, 9 9, 11 4, 7 0, 1 .5",
    "C": "11 16, 9 20, 4 17, 1 9, 3 2, 8 0, 12 4",
    "D": "3 19, 2.5 10, 2 0; 0 17, 6 20.5, 12 15, 11 5, 6 0, 0 1",
    "F": "6 19, 5 10, 4 0, 1 1; 0 17, 4 20, 9 19, 12 20; 2 10, 6 10.5, 9 11",
    "H": "3 20, 2.5 10, 2 0; 11 20, 10.5 10, 10.5 1, 13 1; 2.5 10, 6 10.8, 10.5 11",
    "I": "1 16, 4 20, 7 19, 5 10, 4 2, 1 0",
    "J": "1 16, 4 20, 8 20, 6 10, 5 -4, 2 -7, 0 -4",
    "K": "3 20, 2.5 10, 2 0; 11 20, 6 13, 3 10, 7 6, 12 0",
    "M": "0 0, 3 10, 5 20, 7 10, 8 3, 12 14, 14 20, 14.5 10, 15.5 0",
    "O": "7 20, 3 17, 1 9, 3 2, 7 0, 11 5, 11 14, 8 19.5, 5 17",
    "R": "3 20, 2.5 10, 2 0; 0 17, 5 20.5, 10 18, 8 12, 4 10.5, 7 6, 12 0",
    "S": "10 17, 8 20, 4 18, 4 13, 8 8, 8 2, 4 0, 0 3",
    "T": "7 19, 6 10, 5 1, 2 1; 0 16, 3 20, 8 19, 13 20.5",
    "U": "0 17, 3 19, 3 8, 5 1, 9 3, 11 12, 12 20, 11.5 8, 13 .5",
    "W": "0 17, 2 20, 3 10, 4 0, 8 10, 10 19, 11 8, 12 0, 16 10, 18 20",
    "0": "5 17, 2 14, 1 8, 2 2, 5 0, 8 3, 9 9, 8 14, 5 17",
    "1": "2 13, 5 17, 5 9, 5 0",
    "2": "1 13, 4 17, 8 14, 6 8, 1 0, 5 1, 9 0",
    "3": "1 15, 5 17, 8 13, 4 9, 8 6, 7 1, 3 0, 1 2",
    "4": "7 17, 4 11, 1 5, 6 5, 9 6; 7 10, 7 5, 6.5 -2",
    "5": "8 17, 3 16, 2 10, 6 10, 8 5, 5 0, 1 1",
    "6": "8 17, 3 12, 1 5, 4 0, 8 3, 7 8, 2 5",
    "7": "1 16, 5 17, 9 16, 6 8, 4 -1",
    "8": "8 14, 5 17, 2 13, 5 9, 8 4, 5 0, 2 4, 5 9, 8 14",
    "9": "8 13, 5 17, 2 12, 5 8, 8 12, 8 5, 6 -2",
    ".": "2 .6, 2.4 0",
    ",": "2 1, 2.6 0, 1.2 -4",
    ";": "2.5 9, 2.9 8; 2 1, 2.6 0, 1.2 -4",
}  # fmt: skip


def _parse(skeleton: str) -> list[Path2d]:
    strokes = skeleton.split(";")
    return [np.array([point.split() for point in stroke.split(",")], np.float64) for stroke in strokes]


_LETTERS = {letter: _parse(skeleton) for letter, skeleton in _SKELETONS.items()}


class Hand:
    """Someone's handwriting of a given size (the em, in pixels), with its slant, width, pen and unrest."""

    def __init__(self, size: float, rng: np.random.Generator) -> None:
        self.size = size
        self.rng = rng
        self.unit = 0.42 * size / _GRID
        self.slant = rng.uniform(0.25, 0.75)
        self.stretch = rng.uniform(0.85, 1.15)
        self.hairline = rng.uniform(0.03, 0.05) * size
        self.swell = rng.uniform(0.02, 0.065) * size
        self.unrest = rng.uniform(0.15, 0.5)

    def scaled(self, factor: float) -> Hand:
        """Return the same hand, larger or smaller; the pen's width changes by half as much."""
        other = copy(self)
        other.size *= factor
        other.unit *= factor
        other.hairline *= factor**0.5
        other.swell *= factor**0.5
        return other

    def length(self, text: str) -> float:
        """Return the length of `text` in pixels; unknown characters are spaces."""
        return sum(self._letter(character)[1] for character in text) * self.unit * self.stretch

    def write(self, draw: ImageDraw.ImageDraw, x: float, y: float, text: str) -> None:
        """Write `text` in white, from `x` rightwards on the line `y`."""
        at = 0.0
        y += self.rng.normal(0, 0.025) * self.size
        joined: Path2d | None = None  # the stroke that the next letter may go on with
        strokes: list[Path2d] = []
        for character in text:
            shapes, advance = self._letter(character)
            start = np.array((at, 0.0))
            moved = [shape + start + self.rng.normal(0, self.unrest, shape.shape) for shape in shapes]
            at += advance
            # the pen is lifted around capitals, figures and stops, and now and then inside a word
            if joined is not None and not (character.islower() and self.rng.random() > 0.08):
                strokes.append(joined)
                joined = None
            if character.islower() and moved:
                entry = 1 if joined is not None and joined[-1, 1] > _HIGH else 0
                first = moved.pop(0)[entry:]
                joined = first if joined is None else np.concatenate([joined, first])
            strokes.extend(moved)
        for stroke in strokes if joined is None else [*strokes, joined]:
            self._stroke(draw, x, y, stroke)

    def _letter(self, character: str) -> tuple[list[Path2d], float]:
        """Return the strokes of a character on the grid, and the distance to the next one."""
        shapes = _LETTERS.get(character)
        if shapes is None:
            shapes = [shape * _CAPITAL for shape in _LETTERS.get(character.lower(), [])]
        if not shapes:
            return [], 7.0
        if character.islower():
            # one that ends high needs some room, or its end would fill the next letter
            return shapes, float(shapes[0][-1, 0]) + (1.2 if shapes[0][-1, 1] > _HIGH else 0.0)
        return shapes, max(float(shape[:, 0].max()) for shape in shapes) + 2.0

    def _stroke(self, draw: ImageDraw.ImageDraw, x: float, y: float, points: Path2d) -> None:
        path = _curve(points)
        path = np.stack([x + (path[:, 0] * self.stretch + path[:, 1] * self.slant) * self.unit,
                         y - path[:, 1] * self.unit], axis=1)  # fmt: skip
        step = np.gradient(path, axis=0)
        step /= np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None]
        pressed = np.convolve(np.pad(np.clip(step[:, 1], 0, 1), 2, mode="edge"), np.full(5, 0.2), "valid")
        half = (self.hairline + self.swell * pressed)[:, None] / 2
        aside = half * np.stack([-step[:, 1], step[:, 0]], axis=1)
        sides = np.concatenate([path + aside, path - aside], axis=1)
        for (ax, ay, bx, by), (cx, cy, dx, dy) in pairwise(sides):
            draw.polygon([(ax, ay), (bx, by), (dx, dy), (cx, cy)], fill=255)


def _curve(points: Path2d, samples: int = 5) -> Path2d:
    """Return a Catmull-Rom curve through `points`, each piece in `samples` steps."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    p0, p1, p2, p3 = padded[:-3, None], padded[1:-2, None], padded[2:-1, None], padded[3:, None]
    t = (np.arange(samples) / samples)[None, :, None]
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
                   + (3 * p1 - p0 - 3 * p2 + p3) * t**3)  # fmt: skip
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])
