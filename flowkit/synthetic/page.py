"""Clean pages drawn from nothing: text in the fonts that travel with matplotlib, or in a cursive hand.

No system font is needed. `draw_page` gives the truth (ink or no ink, per pixel);
`flowkit.degradations.scan.degrade` makes a scan of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowkit.errors import DataError, suggest
from flowkit.synthetic import phrases
from flowkit.synthetic.layouts import LAYOUTS
from flowkit.synthetic.typesetting import FINE, Face, Press

_LEAST_EMS = 14.0  # a smaller page is a piece cut out of one of this many ems


def _set_page(press: Press) -> None:
    """Fill the sheet: head, title, rule, paragraphs, a note in the margin, the catchword of the next page."""
    rng, em = press.rng, press.em
    noted = rng.random() < 0.7
    left = press.width * rng.uniform(0.07, 0.11)
    right = press.width * (1 - (rng.uniform(0.20, 0.24) if noted else rng.uniform(0.07, 0.11)))
    y, bottom = press.height * rng.uniform(0.04, 0.07), press.height * rng.uniform(0.91, 0.95)
    if rng.random() < 0.6:
        press.put(y + em, right, str(rng.integers(2, 400)))
        y += 1.4 * em
    heading = phrases.title(rng)
    heading = heading.upper() if rng.random() < 0.4 and not press.written else heading
    y = press.centred(y, left, right, heading, "bold", rng.uniform(1.5, 2.1))
    if rng.random() < 0.6:
        y = press.centred(y, left, right, phrases.subtitle(rng), "italic", 1.1)
    y = press.rule(y, left, right)
    top, first = y, True
    while y + press.leading <= bottom:
        small = 0.82 if not first and rng.random() < 0.2 else 1.0
        text = phrases.paragraph(rng)
        y = press.paragraph(
            (left, y, right, bottom),
            text,
            press.body,
            ems=small,
            indent=1.4 * em,
            initial=first and not press.written,
            ragged=press.written,
        )
        if rng.random() < 0.15 and y + 4 * em < bottom:
            y = press.rule(y, left + 0.3 * (right - left), right - 0.3 * (right - left))
        elif rng.random() < 0.4:
            y += rng.uniform(0.2, 0.7) * em
        first = False
    if noted:
        # a reader's hand, or printed
        face: Face = "hand" if rng.random() < 0.6 else "italic"
        for _ in range(int(rng.integers(1, 4))):
            top += rng.uniform(0.02, 0.35) * (bottom - top)
            box = (right + 0.9 * em, top, press.width * 0.975, bottom)
            top = press.paragraph(box, phrases.note(rng), face, ems=0.72, ragged=True) + em
    catchword = phrases.sentence(rng).split()[0]
    press.put(bottom + 0.9 * em, right, catchword)


def draw_page(
    width: int,
    height: int,
    rng: np.random.Generator,
    *,
    text_size: float | None = None,
    layout: str = "book",
) -> NDArray[np.bool_]:
    """Draw a page of text; bool of shape (height, width), True where there is ink.

    `text_size` is the em of the body text in pixels; left out, it follows the width (23 to 31 pixels for a
    page of 900, between 20 and 60 for any). `layout` is `book`, or a name in
    `flowkit.synthetic.layouts.LAYOUTS`. The same state of `rng` gives the same page. A page too small for
    headings and margins is the piece of a larger one with the most ink, out of a few tries; pages of a few
    pixels may have no ink at all.

    Raises `DataError` for a size below 1 x 1, a text size that is not positive, or an unknown layout.

    >>> page = draw_page(300, 200, np.random.default_rng(0))
    >>> page.shape, page.dtype.name, bool(0.02 < page.mean() < 0.5)
    ((200, 300), 'bool', True)
    """
    return draw_cover(width, height, rng, text_size=text_size, layout=layout) >= 128


def draw_cover(
    width: int,
    height: int,
    rng: np.random.Generator,
    *,
    text_size: float | None = None,
    layout: str = "book",
) -> NDArray[np.uint8]:
    """Draw the page of `draw_page` as cover: uint8 (height, width), the ink's share of a pixel in 255ths.

    Raises `DataError` as `draw_page` does.
    """
    if width < 1 or height < 1:
        raise DataError(f"draw_page: found a page of {width} x {height} pixels, expected at least 1 x 1")
    if layout != "book" and layout not in LAYOUTS:
        raise DataError(f'draw_page: unknown layout "{layout}"; {suggest(layout, ("book", *LAYOUTS))}')
    em = float(np.clip(width * rng.uniform(0.026, 0.034), 20, 60)) if text_size is None else float(text_size)
    if not (np.isfinite(em) and em > 0):
        raise DataError(f"draw_page: found text_size {text_size}, expected a positive number of pixels")
    least = int(np.ceil(_LEAST_EMS * em))
    full_width, full_height = max(width, least), max(height, least)
    press = Press(full_width, full_height, em, rng, modern=layout != "book")
    LAYOUTS.get(layout, _set_page)(press)
    # reduce() is a box filter: each value is the share of the pixel that the ink covers
    cover: NDArray[np.uint8] = np.asarray(press.warped().reduce(FINE))
    if (full_width, full_height) == (width, height):
        return cover
    pieces = []
    for _ in range(8):
        x, y = rng.integers(full_width - width + 1), rng.integers(full_height - height + 1)
        pieces.append(cover[y : y + height, x : x + width])
    return max(pieces, key=lambda piece: np.count_nonzero(piece >= 128)).copy()


def draw_print(width: int, height: int, rng: np.random.Generator) -> tuple[NDArray[np.bool_], str]:
    """Draw a page of printed paragraphs in one column; return its ink, bool (height, width), and its text.

    The em is 1/45 to 1/35 of the width. The same state of `rng` gives the same page.

    >>> ink, text = draw_print(300, 200, np.random.default_rng(0))
    >>> ink.shape, bool(ink.any()), len(text.split()) > 10
    ((200, 300), True, True)
    """
    press = Press(width, height, width / rng.uniform(35, 45), rng, modern=True)
    press.written = press.long_s = False
    left, right, bottom = 0.1 * press.width, 0.9 * press.width, 0.93 * press.height
    y, texts = 0.06 * press.height, list[str]()
    while True:
        text = phrases.paragraph(rng)
        lines = 2 + press.lettering("upright").length(" ".join(text)) / (0.9 * (right - left))
        if y + lines * press.leading > bottom and texts:
            break
        y = press.paragraph((left, y, right, bottom), text, "upright") + 0.4 * press.em
        texts.append(" ".join(text))
    return np.asarray(press.warped().reduce(FINE)) >= 128, "\n".join(texts)
