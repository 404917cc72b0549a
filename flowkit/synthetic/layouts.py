"""Layouts of drawn pages besides the book: print, posters, music, tables, graph paper, dark bands."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from flowkit.synthetic import phrases
from flowkit.synthetic.typesetting import Press

Layout = Callable[[Press], None]


def set_print(press: Press) -> None:
    """Fill the sheet with paragraphs of modern print, in one or two columns."""
    rng, em = press.rng, press.em
    columns = 2 if press.width > 34 * em and rng.random() < 0.5 else 1
    margin, gap = rng.uniform(0.02, 0.08) * press.width, 1.6 * em
    width = (press.width - 2 * margin - (columns - 1) * gap) / columns
    top, bottom = press.height * rng.uniform(0.01, 0.06), press.height * rng.uniform(0.93, 0.99)
    for column in range(columns):
        left, y = margin + column * (width + gap), top
        while y + press.leading <= bottom:
            face = press.body if rng.random() < 0.9 else "bold"
            size = 1.0 if rng.random() < 0.8 else rng.uniform(0.75, 1.5)
            ragged = rng.random() < 0.5
            y = press.paragraph(
                (left, y, left + width, bottom), phrases.paragraph(rng), face, ems=size, ragged=ragged
            )
            y += rng.uniform(0.0, 1.0) * em


def set_poster(press: Press) -> None:
    """Fill the sheet with lines of very different sizes, from the body's own to eight times that."""
    rng, em = press.rng, press.em
    y, bottom = press.height * rng.uniform(0.0, 0.06), press.height * 0.98
    while y < bottom:
        size = float(2 ** rng.uniform(0, 3))
        face = "bold" if rng.random() < 0.4 else press.body
        heading = phrases.title(rng) if size > 1.5 else phrases.sentence(rng)
        letters = press.lettering(face, size)
        x = rng.uniform(-0.1, 0.2) * press.width
        y += 1.2 * size * em
        letters.write(press.draw, x, y, heading.upper() if rng.random() < 0.4 else heading)
        y += rng.uniform(0.1, 0.6) * size * em


def set_music(press: Press) -> None:
    """Fill the sheet with staves of five thin lines, bars, notes with stems and beams, and words below."""
    rng, em, pen = press.rng, press.em, press.draw
    space = 0.32 * em * rng.uniform(0.8, 1.6)
    thin = max(1, round(space * rng.uniform(0.06, 0.2)))
    left, right = press.width * 0.04, press.width * rng.uniform(0.92, 0.99)
    y = press.height * rng.uniform(0.02, 0.06)
    while y + 8 * space < press.height:
        lines = [y + (2 + row) * space for row in range(5)]
        for line in lines:
            pen.line((left, line, right, line), fill=255, width=thin)
        x = left
        while x < right:
            if rng.random() < 0.2:
                pen.line((x, lines[0], x, lines[-1]), fill=255, width=max(1, thin))
                x += 2 * space
                continue
            middle = lines[0] + rng.integers(-2, 11) * space / 2
            box = (x - 0.65 * space, middle - 0.48 * space, x + 0.65 * space, middle + 0.48 * space)
            hollow = rng.random() < 0.25
            pen.ellipse(box, fill=0 if hollow else 255, outline=255, width=max(1, thin))
            side, length = (0.6, -3.2) if rng.random() < 0.6 else (-0.6, 3.2)
            stem = x + side * space
            pen.line((stem, middle, stem, middle + length * space), fill=255, width=max(1, thin))
            x += rng.uniform(1.6, 4.0) * space
        y += 8 * space
        if rng.random() < 0.5 and y + press.leading < press.height:
            y = press.paragraph(
                (left, y, right, y + 1.2 * press.leading), phrases.sentence(rng).split(), press.body
            )
        y += rng.uniform(0.5, 3.0) * space


def set_table(press: Press) -> None:
    """Fill the sheet with a table or a form: ruled cells with words and numbers; the rules are ink."""
    rng, em, pen = press.rng, press.em, press.draw
    thick = max(1, round(em * rng.uniform(0.03, 0.12)))
    left, right = press.width * rng.uniform(0.01, 0.06), press.width * rng.uniform(0.94, 0.99)
    top, row = press.height * rng.uniform(0.01, 0.06), press.leading * rng.uniform(1.05, 1.8)
    count = max(1, int((press.height * 0.97 - top) / row))
    edges = [left]
    while edges[-1] + 3 * em < right:
        edges.append(min(right, edges[-1] + em * rng.uniform(3, 14)))
    upright = rng.random() < 0.8
    for index in range(count + 1):
        pen.line((left, top + index * row, right, top + index * row), fill=255, width=thick)
    for edge in edges if upright else ():
        pen.line((edge, top, edge, top + count * row), fill=255, width=thick)
    letters = press.lettering(press.body)
    for index in range(count):
        for near, far in pairwise(edges):
            if rng.random() < 0.2:
                continue
            text = str(rng.integers(1, 100_000)) if rng.random() < 0.5 else phrases.sentence(rng).split()[0]
            if letters.length(text) < far - near - 0.4 * em:
                letters.write(pen, near + 0.2 * em, top + (index + 0.72) * row, text)


def set_grid(press: Press) -> None:
    """Draw the lines of a dark ruled or squared sheet, and write on them; the lines are ink."""
    rng, em, pen = press.rng, press.em, press.draw
    step, thick = em * rng.uniform(0.6, 2.0), max(1, round(em * rng.uniform(0.03, 0.06)))
    for place in _steps(press.height, step):
        pen.line((0, place, press.width, place), fill=255, width=thick)
    for place in _steps(press.width, step) if rng.random() < 0.6 else ():
        pen.line((place, 0, place, press.height), fill=255, width=thick)
    set_print(press)


def set_bands(press: Press) -> None:
    """Fill the sheet with print that dark bands interrupt: the band is ink, the letters on it are paper."""
    rng, em = press.rng, press.em
    y, bottom = press.height * rng.uniform(0.0, 0.05), press.height * 0.98
    left, right = press.width * 0.04, press.width * 0.96
    while y + press.leading <= bottom:
        y = press.paragraph((left, y, right, bottom), phrases.paragraph(rng), press.body)
        high = em * rng.uniform(1.6, 3.5)
        if y + high > bottom:
            break
        start = 0.0 if rng.random() < 0.5 else rng.uniform(0, 0.3) * press.width
        end = press.width if rng.random() < 0.5 else rng.uniform(0.7, 1.0) * press.width
        press.draw.rectangle((start, y, end, y + high), fill=255)
        press.band(start + 0.6 * em, y + 0.66 * high, end - 0.4 * em, phrases.sentence(rng).split())
        y += high + rng.uniform(0.2, 0.8) * em


LAYOUTS: dict[str, Layout] = {
    "print": set_print,
    "poster": set_poster,
    "music": set_music,
    "table": set_table,
    "grid": set_grid,
    "bands": set_bands,
}


def _steps(length: int, step: float) -> list[float]:
    return [index * step for index in range(1, int(length / step) + 1)]
