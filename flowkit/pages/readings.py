"""Readings: the words that OCR reads in the samples of a page, by vote."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from flowkit.files import write_json
from flowkit.metrics.ocr import PAGE, Tesseract, Word
from flowkit.pages.page import Page

VERSION = 1
"""The version of the files that `Readings.save` writes."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Reading:
    """A text, and the share of the samples that have it; "" where nothing is read."""

    text: str
    share: float


@dataclass(frozen=True)
class VotedWord:
    """A place with a word, and what the samples read there.

    Attributes:
        box: left, top, right and bottom, in pixels of the page.
        line: the number of its line, from 0.
        readings: the most frequent first; shares add up to 1.
    """

    box: Box
    line: int
    readings: tuple[Reading, ...]


@dataclass(frozen=True)
class Readings:
    """The words of a page in reading order, by a vote of its samples.

    Attributes:
        words: places where the result or a sample has a word.
        samples: the number of samples.
        language: that was read, as Tesseract names it.
        reader: Tesseract's version.
    """

    words: list[VotedWord]
    samples: int
    language: str
    reader: str

    @property
    def text(self) -> str:
        """Return the most frequent readings, a line of text for each line of the page."""
        lines = groupby(self.words, lambda word: word.line)
        texts = (" ".join(filter(None, (word.readings[0].text for word in line))) for _, line in lines)
        return "\n".join(filter(None, texts))

    def save(self, path: str | PathLike[str]) -> None:
        """Write them as JSON, see docs/reference/components_and_readings.md.

        Raises:
            OutputError: the file cannot be written.
        """
        about = {"language": self.language, "reader": self.reader, "samples": self.samples}
        words = [asdict(word) for word in self.words]
        write_json(path, {"version": VERSION, **about, "text": self.text, "words": words})


def read_words(page: Page, language: str) -> Readings:
    """Read the result and every sample of a page with Tesseract, and let the samples vote on each word.

    Words are aligned by their place, those of the result first; see `vote`.

    Raises:
        ValueError: samples were not kept.
        FlowkitError: Tesseract is not there, does not know the language, or fails.
    """
    tesseract = Tesseract(language, PAGE)
    count = page.sampling.samples
    samples = [tesseract.words(page.sample(index)) for index in range(count)]
    return Readings(vote(tesseract.words(page.binary), samples), count, language, tesseract.version)


@dataclass
class _Place:
    """A place with a word, its line, what the result has there, and each sample."""

    box: Box
    line: int
    own: str = ""
    texts: list[str] = field(default_factory=list)


def vote(result: Sequence[Word], samples: Sequence[Sequence[Word]]) -> list[VotedWord]:
    """Count what each of the samples, one or more, reads at the place of each word.

    A word of a sample is at the place with which it shares most pixels, if both overlap by half of the
    smaller width and height. Words that a sample has at one place are joined: a word that falls into pieces
    is another reading. Where there is no place yet, there is one from now on, after the word that the sample
    has before. (ROVER aligns by the order of words alone; Fiscus, ASRU 1997. Specks change it, but not
    places.)

    >>> cat, cut = Word("cat", (0, 0, 30, 10), 0), Word("cut", (1, 0, 30, 11), 0)
    >>> [word.readings for word in vote([cut], [[cat], [cut], [cat], []])]
    [(Reading(text='cat', share=0.5), Reading(text='cut', share=0.25), Reading(text='', share=0.25))]
    """
    places = [_Place(word.box, word.line, word.text) for word in result]
    for index, words in enumerate(samples):
        said: dict[int, list[str]] = defaultdict(list)
        before: _Place | None = None
        for word, at in zip(words, _nearest(words, list(places)), strict=True):
            if at is None:
                line = word.line if before is None else before.line
                at = _Place(word.box, line, texts=[""] * index)
                position = 0 if before is None else next(i for i, p in enumerate(places) if p is before) + 1
                places.insert(position, at)
            said[id(at)].append(word.text)
            before = at
        for place in places:
            place.texts.append(" ".join(said[id(place)]))
    return [VotedWord(place.box, place.line, _shares(place.texts, place.own)) for place in places]


def _shares(texts: Sequence[str], own: str) -> tuple[Reading, ...]:
    """Count texts, the most frequent first; of equally frequent ones the result's own."""
    counted = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0] != own))
    return tuple(Reading(text, count / len(texts)) for text, count in counted)


def _nearest(words: Sequence[Word], places: Sequence[_Place]) -> list[_Place | None]:
    """Find the place of each word, where it has one."""
    if not words or not places:
        return [None] * len(words)
    one, other = _corners([word.box for word in words])[:, None], _corners([p.box for p in places])[None]
    shared = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    smaller = np.minimum(one[..., 2:] - one[..., :2], other[..., 2:] - other[..., :2])
    area = np.where((2 * shared >= smaller).all(-1), shared.prod(-1), 0)
    best = area.argmax(1)
    return [places[k] if area[i, k] > 0 else None for i, k in enumerate(best)]


def _corners(boxes: Sequence[Box]) -> NDArray[np.int64]:
    return np.array(boxes, np.int64)
