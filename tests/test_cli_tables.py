"""`flowkit binarize --components` and `--readings`, and the counts in the report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from flowkit.batch import Record
from flowkit.cli import main
from flowkit.metrics import ocr
from flowkit.pages import binarize

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ink_checkpoint: Path, pixels, write
) -> Callable[..., int]:
    """The verb, in a folder with scans: one page, and a document of two."""
    monkeypatch.chdir(tmp_path)
    write(Path("scans/one.png"), pixels(48, 37, 0), dpi=(300, 300))
    first, second = (Image.fromarray(pixels(40, 32, seed)) for seed in (1, 2))
    first.save("scans/two.tif", save_all=True, append_images=[second])
    return lambda *arguments: main(["binarize", *map(str, arguments), "--model", str(ink_checkpoint)])


def test_one_format_for_a_page_and_for_many(call: Callable[..., int], ink_checkpoint: Path) -> None:
    assert call("scans/one.png", "-o", "one.tif", "--components", "one.json") == 0
    assert call("scans", "-o", "ink", "--components", "c", "--format", "tif") == 0
    assert sorted(path.name for path in Path("c").iterdir()) == ["one.json", "two-001.json", "two-002.json"]
    assert Path("one.json").read_bytes() == Path("c/one.json").read_bytes()
    said = json.loads(Path("one.json").read_text())
    assert (said["version"], said["width"], said["height"], said["samples"]) == (1, 37, 48, 16)
    page = binarize("scans/one.png", model=ink_checkpoint, samples=16, keep_samples=True)
    shares = [one["probability"] for one in said["components"]]
    assert shares == [one.probability for one in page.components]
    assert call("scans", "-o", "ink", "--components", "c", "--format", "tif") == 0
    lines = Path("ink/report.jsonl").read_text().splitlines()
    assert len(lines) == 4  # three pages and a document: nothing was done again
    record = Record.from_json(lines[0])
    assert record.files["components"].path == "../c/one.json"
    assert record.counts["components"].greatest == page.counts.components.greatest
    assert record.counts == page.counts._asdict()
    Path("c/one.json").unlink()
    assert call("scans", "-o", "ink", "--components", "c", "--format", "tif") == 0
    assert Path("c/one.json").read_bytes() == Path("one.json").read_bytes()


def test_counts_are_of_samples(call: Callable[..., int]) -> None:
    assert call("scans/one.png", "-o", "ink/", "--html") == 0
    [line] = Path("ink/report.jsonl").read_text().splitlines()
    said = json.loads(line)
    assert said["version"] == 2
    assert set(said["counts"]) == {"ink", "components", "stroke_width"}
    assert said["counts"]["components"]["within_95"] is None  # of 16 samples
    ink = said["counts"]["ink"]
    assert ink["least"] <= ink["within_80"][0] <= ink["within_50"][0] <= ink["median"] <= ink["greatest"]
    words = f"in 16 samples: ink {100 * ink['least']:.2f} to {100 * ink['greatest']:.2f} % of the page, "
    assert words in Path("ink/report.html").read_text()
    assert call("scans/one.png", "-o", "mode/", "--html", "--samples", "1") == 0
    assert json.loads(Path("mode/report.jsonl").read_text())["counts"] == {}
    assert "in 1 samples" not in Path("mode/report.html").read_text()


def test_reports_of_version_1_are_read(call: Callable[..., int]) -> None:
    assert call("scans/one.png", "-o", "ink/") == 0
    path = Path("ink/report.jsonl")
    old = {**json.loads(path.read_text()), "version": 1}
    del old["counts"]
    path.write_text(json.dumps(old) + "\n")
    assert Record.from_json(path.read_text()).counts == {}
    before = path.read_bytes()
    assert call("scans/one.png", "-o", "ink/") == 0
    assert path.read_bytes() == before


@needs_tesseract
def test_readings_of_a_folder(call: Callable[..., int]) -> None:
    options = ("--readings", "r", "--ocr", "eng", "--samples", "2", "--html")
    assert call("scans", "-o", "ink", *options) == 0
    said = json.loads(Path("r/two-002.json").read_text())
    assert (said["version"], said["language"], said["samples"]) == (1, "eng", 2)
    lines = Path("ink/report.jsonl").read_text().splitlines()
    assert {json.loads(line)["settings"]["ocr"] for line in lines} == {"eng"}
    text = Path("ink/report.html").read_text()
    assert '<a href="../r/one.json">readings</a>' in text
    assert text.count("<img") == 6  # none of a table
    assert call("scans", "-o", "ink", "--samples", "2") == 0
    assert len(Path("ink/report.jsonl").read_text().splitlines()) == 3  # the pages serve without, too


def test_what_cannot_be_used_is_said_before_the_work(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "COMMAND", "tesseract-that-is-not-there")
    one = ("scans/one.png", "-o", "one.png")
    for options, message in (
        (("--readings", "r.json"), "--readings needs --ocr LANG, too"),
        (("--ocr", "eng"), "--ocr needs --readings PLACE, too"),
        (("--readings", "r.json", "--ocr", "eng"), "OCR needs the command tesseract-that-is-not-there"),
        (("--components", "c.png"), 'c.png: ".png", expected .json'),
        (("--components", "c.json", "--samples", "1"), "--components is made of samples"),
    ):
        assert call(*one, *options) == 2
        assert message in capsys.readouterr().err
        assert not Path("one.png").exists()
