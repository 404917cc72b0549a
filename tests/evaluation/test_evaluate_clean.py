"""`flowkit evaluate --clean`: four results of every page, against grey truths and texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.cli import main
from flowkit.evaluation.clean_pages import divided, rmse
from flowkit.images.reader import read
from flowkit.pages import clean


def test_grey_truths(ink_checkpoint: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "set"
    shutil.copytree(drawn, folder)
    truth = np.random.default_rng(0).integers(0, 256, read(folder / "gt/0.png").size, dtype=np.uint8)
    Image.fromarray(truth).save(folder / "gt/0.png")
    command = ["evaluate", str(ink_checkpoint), "--clean", "--data", str(folder), "--quiet"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "results/evaluation.json").read_text())
    scores = {(row["page"], row["by"]): row["scores"]["rmse"] for row in found["pages"]}
    assert len(scores) == 8
    made = clean(folder / "img/0.png", model=ink_checkpoint)
    grey = np.asarray(Image.open(folder / "img/0.png").convert("L"))
    whiter = np.asarray(Image.fromarray(made.image).convert("L"))
    results = {"page": grey, "1 bit": 255 * np.uint8(~made.page.binary), "page / paper": divided(grey)}
    for by, image in {**results, "clean": whiter}.items():
        expected = np.sqrt(np.mean((image / 255 - truth / 255) ** 2))
        assert scores["0.png", by] == pytest.approx(expected, abs=1e-6)
        assert rmse(image, image) == 0
    Image.fromarray(truth[1:]).save(folder / "gt/0.png")
    assert main(command) == 2
    assert "is 120 x 89, but" in capsys.readouterr().err


def test_paper_is_divided_away():
    y, x = np.mgrid[:90, :120]
    paper = 200 - 0.5 * x
    ink = (y % 30 < 4) & (x % 20 < 12)
    flat = divided(np.rint(np.where(ink, 0.2 * paper, paper)).astype(np.uint8))
    assert flat[~ink].min() > 225
    assert flat[ink].max() < 70


def test_what_cannot_be_scored(ink_checkpoint: Path, capsys: pytest.CaptureFixture[str]):
    model = str(ink_checkpoint)
    assert main(["evaluate", model, "--clean"]) == 2
    assert "--data is missing" in capsys.readouterr().err
    assert main(["evaluate", model, "--clean", "--drawn", "2"]) == 2
    assert "expected --ocr LANG, too" in capsys.readouterr().err
    assert main(["evaluate", model, "--drawn", "2", "--data", "."]) == 2
    assert "--drawn is for --clean" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_drawn_pages_are_read(ink_checkpoint: Path, tmp_path: Path):
    command = ["evaluate", str(ink_checkpoint), "--clean", "--ocr", "eng", "--drawn", "1", "--quiet"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "results/evaluation.json").read_text())
    assert {row["by"] for row in found["sets"]} == {"page", "1 bit", "page / paper", "clean"}
    assert all(row["mean"]["cer"] > 0 for row in found["sets"])
