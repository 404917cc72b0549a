"""Words by a vote of what Tesseract reads in samples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from flowkit.errors import FlowkitError
from flowkit.metrics import ocr
from flowkit.metrics.ocr import Word
from flowkit.pages import Page, Reading, read_words
from flowkit.pages.decision import Sampling
from flowkit.pages.readings import Readings, vote


def word(text: str, left: int, width: int = 0, line: int = 0) -> Word:
    top = 20 * line
    return Word(text, (left, top, left + (width or 10 * len(text)), top + 12), line)


def said(result: list[Word], *samples: list[Word]) -> list[dict[str, float]]:
    return [{one.text: one.share for one in place.readings} for place in vote(result, samples)]


def test_words_at_one_place_are_counted() -> None:
    result = [word("The", 0), word("cut", 40)]
    found = vote(result, [[word("The", 1), word("cat", 41)], [word("Tho", 0), word("cat", 39)], result])
    assert found[0].readings == (Reading("The", 2 / 3), Reading("Tho", 1 / 3))
    assert found[1].readings == (Reading("cat", 2 / 3), Reading("cut", 1 / 3))
    assert (found[1].box, found[1].line) == (result[1].box, 0)


def test_of_equally_frequent_readings_the_results_own_comes_first() -> None:
    result = [word("cut", 0)]
    assert vote(result, [[word("cat", 0)], result])[0].readings[0].text == "cut"


def test_words_that_fall_into_pieces_or_run_together_are_other_readings() -> None:
    result = [word("to", 0), word("gether", 30)]
    assert said([word("together", 0, 90)], result) == [{"to gether": 1.0}]
    assert said(result, [word("together", 0, 90)]) == [{"": 1.0}, {"together": 1.0}]


def test_words_that_the_result_lacks_stand_where_a_sample_has_them() -> None:
    result = [word("a", 0), word("b", 100), word("next", 0, line=1)]
    more = [word("a", 0), word("new", 40), word("b", 100)]
    assert said(result, result, more, more) == [
        {"a": 1.0}, {"": 1 / 3, "new": 2 / 3}, {"b": 1.0}, {"next": 1 / 3, "": 2 / 3},
    ]  # fmt: skip
    assert said([], [word("x", 0)], []) == [{"x": 0.5, "": 0.5}]
    assert vote([], [[], []]) == []


def test_specks_above_a_word_are_no_part_of_it() -> None:
    speck, body = Word("'", (5, 0, 8, 3), 0), Word("cat", (0, 10, 30, 30), 0)
    assert said([body], [speck, body]) == [{"'": 1.0}, {"cat": 1.0}]


def test_the_text_is_that_of_the_vote(tmp_path: Path) -> None:
    result = [word("The", 0), word("cut", 40), word("x", 80), word("sat", 0, line=1)]
    other = [word("The", 0), word("cat", 40), word("sat", 0, line=1)]
    found = Readings(vote(result, [other, other, result]), 3, "eng", "a reader")
    assert found.text == "The cat\nsat"
    found.save(tmp_path / "r.json")
    written = json.loads((tmp_path / "r.json").read_text())
    words = written.pop("words")
    assert written == {
        "version": 1, "language": "eng", "reader": "a reader", "samples": 3, "text": "The cat\nsat",
    }  # fmt: skip
    assert words[2] == {
        "box": [80, 0, 90, 12],
        "line": 0,
        "readings": [{"text": "", "share": 2 / 3}, {"text": "x", "share": 1 / 3}],
    }


def typed(*lines: str) -> np.ndarray:
    image = Image.new("L", (700, 200), 255)
    for i, text in enumerate(lines):
        ImageDraw.Draw(image).text((30, 30 + 60 * i), text, fill=0, font=ImageFont.load_default(38))
    return np.asarray(image) < 128


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_pages_are_read() -> None:
    samples = np.stack([typed("Hello world", "second line"), typed("Hello World", "second line")])
    votes = samples.sum(0).astype(np.uint8)
    kept = np.packbits(samples, axis=0, bitorder="little")
    found = read_words(Page(samples[0], Sampling(None, 1.0, 2, 0), votes, kept), "eng")
    assert found.text == "Hello world\nsecond line"
    assert [tuple(one.readings) for one in found.words] == [
        (Reading("Hello", 1.0),),
        (Reading("world", 0.5), Reading("World", 0.5)),
        (Reading("second", 1.0),),
        (Reading("line", 1.0),),
    ]
    rows, cols = np.nonzero(samples[0][:90])
    left, top, _, _ = found.words[0].box
    assert (left, top) == pytest.approx((cols.min(), rows.min()), abs=3)
    assert found.words[1].box[2] == pytest.approx(cols.max() + 1, abs=3)
    assert (found.language, found.samples) == ("eng", 2)


def test_without_tesseract_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "COMMAND", "tesseract-that-is-not-there")
    ink = np.zeros((4, 4), bool)
    page = Page(ink, Sampling(0.5, 1.0, 2, 0), ink.astype(np.uint8), np.zeros((1, 4, 4), np.uint8))
    with pytest.raises(FlowkitError, match="which is not there .*apt install"):
        read_words(page, "eng")
