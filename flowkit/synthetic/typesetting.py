"""Typesetting of drawn pages: lines, paragraphs, initials, rules, in type or in a cursive hand."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flowkit.synthetic import phrases
from flowkit.synthetic.handwriting import Hand

Face = Literal["upright", "bold", "italic", "hand"]

# (upright, bold, italic, has a long s)
_FAMILIES = (
    ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", True),
    ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", True),
    ("cmr10", "cmb10", "cmti10", False),
)
_MODERN = (
    ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", False),
    ("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", False),
    ("cmss10", "DejaVuSans-Bold", "DejaVuSans-Oblique", False),
    *_FAMILIES,
)
FINE = 2  # drawn this many times larger, so that the threshold at 50 % sees a well antialiased edge


class Lettering(Protocol):
    """A way to set words: type or a hand."""

    size: float

    def length(self, text: str) -> float:
        """Return the length of `text` in pixels."""

    def write(self, draw: ImageDraw.ImageDraw, x: float, y: float, text: str) -> None:
        """Put `text` in white on `draw`, from `x` rightwards on the line `y`."""


@lru_cache(maxsize=64)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    import matplotlib  # slow to import, and only its fonts are used

    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")
    # the basic layout gives the same page whether or not Pillow was built with Raqm
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


class _Type:
    """A fount of one of the shipped faces; each word stands a little off its line, as if set by hand."""

    def __init__(self, name: str, size: float, rng: np.random.Generator) -> None:
        self.size = size
        self._font = _font(name, max(1, round(size)))
        self._rng = rng

    def length(self, text: str) -> float:
        return self._font.getlength(text)

    def write(self, draw: ImageDraw.ImageDraw, x: float, y: float, text: str) -> None:
        rise = self._rng.normal(0, 0.012) * self.size
        draw.text((x, y + rise), text, fill=255, font=self._font, anchor="ls")


class Press:
    """A sheet under the press: a canvas of `FINE` times the page, and the ways to put ink on it."""

    def __init__(
        self, width: int, height: int, em: float, rng: np.random.Generator, *, modern: bool = False
    ) -> None:
        self.width, self.height = width * FINE, height * FINE
        self.em = em * FINE
        self.rng = rng
        self.canvas = Image.new("L", (self.width, self.height), 0)
        self.draw = ImageDraw.Draw(self.canvas)
        families = _MODERN if modern else _FAMILIES
        upright, bold, italic, long_s = families[int(rng.integers(len(families)))]
        self.names = {"upright": upright, "bold": bold, "italic": italic}
        self.hand = Hand(1.2 * self.em, rng)
        self.written = bool(rng.random() < (0.1 if modern else 0.4))
        self.long_s = long_s and not self.written and rng.random() < 0.5
        self.body: Face = "italic" if rng.random() < 0.2 else "upright"
        self.leading = self.em * (rng.uniform(1.6, 2.1) if self.written else rng.uniform(1.2, 1.5))

    def lettering(self, face: Face, ems: float = 1.0) -> Lettering:
        """Return the letters of a face at `ems` times the body's size; of the hand on a written page."""
        if self.written or face == "hand":
            return self.hand.scaled(ems)
        return _Type(self.names[face], self.em * ems, self.rng)

    def put(self, y: float, right: float, text: str) -> None:
        """Set a line of body text that ends at `right`."""
        letters = self.lettering(self.body)
        letters.write(self.draw, right - letters.length(text), y, text)

    def line(
        self, x: float, y: float, width: float, line: list[str], letters: Lettering, ragged: bool
    ) -> None:
        """Set one line of words, stretched to `width` unless it is to be ragged."""
        lengths = [letters.length(word) for word in line]
        gap = 0.28 * letters.size
        if not ragged and len(line) > 1:
            gap = min((width - sum(lengths)) / (len(line) - 1), 1.1 * self.em)
        for word, length in zip(line, lengths, strict=True):
            letters.write(self.draw, x, y, word)
            x += length + gap

    def band(self, x: float, y: float, right: float, text: list[str]) -> None:
        """Write a line of words as paper on what is ink already, from `x` to `right` at most."""
        canvas = Image.new("L", self.canvas.size, 0)
        letters = self.lettering("bold" if self.rng.random() < 0.4 else self.body)
        pen = ImageDraw.Draw(canvas)
        for word in text:
            if x + letters.length(word) > right:
                break
            letters.write(pen, x, y, word)
            x += letters.length(word) + 0.28 * letters.size
        self.canvas.paste(0, (0, 0), canvas)

    def paragraph(
        self,
        box: tuple[float, float, float, float],
        text: list[str],
        face: Face,
        *,
        ems: float = 1.0,
        indent: float = 0.0,
        initial: bool = False,
        ragged: bool = False,
    ) -> float:
        """Set as much of `text` as fits into `box` (left, top, right, bottom); return the y below it."""
        left, y, right, bottom = box
        letters, leading = self.lettering(face, ems), self.leading * ems
        if self.long_s and face != "hand":
            text = [phrases.with_long_s(word) for word in text]
        inset, inset_lines = indent, 1
        if initial:
            inset, inset_lines = self.initial(left, y, text[0][0]), 3
            text = [text[0][1:], *text[1:]] if len(text[0]) > 1 else text[1:]
        row = start = 0
        while start < len(text) and y + leading <= bottom:
            x = left + (inset if row < inset_lines else 0.0)
            stop, used = start + 1, letters.length(text[start])
            while stop < len(text):
                more = 0.22 * letters.size + letters.length(text[stop])
                if used + more > right - x:
                    break
                used, stop = used + more, stop + 1
            self.line(x, y + leading * 0.8, right - x, text[start:stop], letters, ragged or stop == len(text))
            start, row, y = stop, row + 1, y + leading
        return max(y, box[1] + 3 * leading) if initial else y

    def initial(self, x: float, y: float, letter: str) -> float:
        """Set an initial of three lines, at times white in a hatched block; return its width."""
        side = self.leading * 2.75
        font = _font(self.names["bold"], max(1, round(side * 0.95)))
        block = (x, y + 0.1 * self.leading, x + side, y + 0.1 * self.leading + side)
        middle = ((block[0] + block[2]) / 2, block[1] + side * 0.84)
        if self.rng.random() < 0.4:
            step = max(3.0, side / 22)
            for i in range(int(side / step)):
                bar = (block[0], block[1] + i * step, block[2], block[1] + i * step + step * 0.45)
                self.draw.rectangle(bar, fill=255)
            thick = max(1, round(side / 40))
            self.draw.rectangle(block, outline=255, width=thick)
            self.draw.text(middle, letter, fill=0, font=font, anchor="ms", stroke_width=2 * thick)
            self.draw.text(middle, letter, fill=255, font=font, anchor="ms")
            return side + 0.4 * self.em
        # capitals are about 0.7 em high: this one reaches from the first line's top to the third baseline
        font = _font(self.names["bold"], max(1, round((2 * self.leading + 0.68 * self.em) / 0.7)))
        self.draw.text((x, y + self.leading * 2.8), letter, fill=255, font=font, anchor="ls")
        return font.getlength(letter) + 0.2 * self.em

    def centred(self, y: float, left: float, right: float, text: str, face: Face, ems: float) -> float:
        """Set a line in the middle of its column, as small as it must be to fit; returns the y below it."""
        length = self.lettering(face, ems).length(text)
        ems *= min(1.0, (right - left) / max(length, 1.0))
        y += self.em * ems * 1.2
        letters = self.lettering(face, ems)
        letters.write(self.draw, (left + right - letters.length(text)) / 2, y, text)
        return y + 0.35 * self.em * ems

    def rule(self, y: float, left: float, right: float) -> float:
        """Draw a printed line: plain, double, or broken by a lozenge; returns the y below it."""
        thick = max(1, round(self.em * self.rng.uniform(0.04, 0.09)))
        y += 0.5 * self.em
        kind = int(self.rng.integers(3))
        middle, size = (left + right) / 2, 0.3 * self.em
        self.draw.line((left, y, right, y), fill=255, width=thick)
        if kind == 1:
            self.draw.line((left, y + 4 * thick, right, y + 4 * thick), fill=255, width=thick)
        if kind == 2:
            self.draw.rectangle((middle - 2 * size, y - size, middle + 2 * size, y + size), fill=0)
            lozenge = [(middle - size, y), (middle, y - size), (middle + size, y), (middle, y + size)]
            self.draw.polygon(lozenge, fill=255)
        return y + 0.7 * self.em

    def warped(self) -> Image.Image:
        """Return the canvas, turned by up to a degree, its lines bent as on a leaf that is not flat."""
        turn = np.deg2rad(np.clip(self.rng.normal(0, 0.35), -1, 1))
        bend = self.rng.normal(0, 0.12) * self.em
        waves, phase = self.rng.uniform(0.5, 1.3), self.rng.uniform(0, 2 * np.pi)

        def source(x: float, y: float) -> tuple[float, float]:
            u, v = x - self.width / 2, y - self.height / 2
            lift = bend * np.sin(2 * np.pi * waves * x / self.width + phase)
            return self.width / 2 + u - turn * v, self.height / 2 + v + turn * u + lift

        xs = np.unique(np.linspace(0, self.width, 17).round().astype(int)).tolist()
        ys = np.unique(np.linspace(0, self.height, 9).round().astype(int)).tolist()
        mesh = [
            ((x0, y0, x1, y1), (*source(x0, y0), *source(x0, y1), *source(x1, y1), *source(x1, y0)))
            for x0, x1 in pairwise(xs)
            for y0, y1 in pairwise(ys)
        ]
        return self.canvas.transform(
            (self.width, self.height), Image.Transform.MESH, mesh, Image.Resampling.BICUBIC
        )
