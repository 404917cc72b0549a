from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from flowkit.errors import FlowkitError
from flowkit.metrics import ocr

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


def test_distances_are_of_characters():
    assert ocr.distance("kitten", "sitting") == 3
    assert ocr.distance("", "abc") == 3
    assert ocr.distance("a  b\n", "a b") == 0  # white space is one space
    assert ocr.distance("u\u0308", "\u00fc") == 0  # composed or not


def test_rates_are_over_all_characters():
    rate = ocr.character_error_rate([("abc", "abcd"), ("x", "x"), ("hello", "hallo")])
    assert rate == pytest.approx(100 * 2 / 10)
    assert ocr.character_error_rate([("abcabc", "ab")]) == 200
    with pytest.raises(FlowkitError, match="all of them are empty"):
        ocr.character_error_rate([("x", " \n")])


def test_without_the_command_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(ocr, "COMMAND", "tesseract-that-is-not-there")
    with pytest.raises(FlowkitError, match="tesseract-that-is-not-there, which is not there .*apt install"):
        ocr.Tesseract("eng")


def test_without_rapidfuzz_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(FlowkitError, match=r"pip install 'flowkit-nf\[ocr\]'"):
        ocr.distance("a", "b")


@needs_tesseract
def test_an_unknown_language_is_refused_with_those_that_are_there():
    with pytest.raises(FlowkitError, match='no language "xx"; installed: .*eng'):
        ocr.Tesseract("eng+xx")


@needs_tesseract
@pytest.mark.parametrize("as_ink", [False, True])
def test_drawn_words_are_read(as_ink):
    image = Image.new("L", (420, 60), 255)
    ImageDraw.Draw(image).text((10, 8), "Hello world 1234", fill=0, font=ImageFont.load_default(38))
    array = np.asarray(image)
    text = ocr.Tesseract("eng").read(array < 128 if as_ink else array)
    assert ocr.normalised(text) == "Hello world 1234"
