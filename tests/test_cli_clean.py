"""`flowkit clean`: white paper in every format, in the same runs as `binarize`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.batch import BatchJob, Clean, run
from flowkit.cli import main
from flowkit.errors import FlowkitError
from flowkit.images.reader import count_pages, read
from flowkit.images.writer import PHOTO_SUFFIXES
from flowkit.pages import clean


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 40, 3), dtype=np.uint8)
    Path("scans").mkdir()
    Image.fromarray(pixels).save("scans/1.png", dpi=(150, 100))
    first, second = Image.fromarray(pixels[::-1].copy()), Image.fromarray(pixels[:, ::-1].copy())
    first.save("scans/2.tif", save_all=True, append_images=[second], dpi=(150, 100))
    return tmp_path


@pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
def test_every_format_keeps_size_and_dpi(suffix: str, folder: Path, ink_checkpoint: Path) -> None:
    out = f"clean{suffix}"
    assert main(["clean", "scans/1.png", "-o", out, "--model", str(ink_checkpoint)]) == 0
    expected = clean("scans/1.png", model=ink_checkpoint).image
    found = read(out)
    if suffix == ".pdf":  # which is drawn at one resolution, the finer
        assert found.size == (72, 40)
    else:
        assert found.dpi == pytest.approx((150, 100), abs=0.02)
        error = np.abs(found.pixels.astype(int) - expected).mean()
        assert error == 0 if suffix not in (".jpg", ".jpeg") else error < 12


def test_folders_documents_and_the_report(folder: Path, ink_checkpoint: Path) -> None:
    options = ["--model", str(ink_checkpoint), "--samples", "3", "--format", "tif", "--no-pictures", "--html"]
    assert main(["clean", "scans", "-o", "out", *options]) == 0
    assert count_pages(Path("out/2.tif")) == 2
    expected = clean("scans/1.png", model=ink_checkpoint, samples=3, pictures=False)
    assert np.array_equal(read("out/1.tif").pixels, expected.image)
    first, *_ = (json.loads(line) for line in Path("out/report.jsonl").read_text().splitlines())
    settings = {"task": "clean", "samples": 3, "temperature": 1.0, "pictures": False, "scale": "auto"}
    assert settings.items() <= first["settings"].items()
    assert (first["width"], first["height"], first["dpi"]) == (40, 48, [150.0, 100.0])
    assert first["review"] == pytest.approx(expected.page.review.score)
    assert "data:image/jpeg" in Path("out/report.html").read_text()


def test_what_there_is_not(folder: Path, ink_checkpoint: Path) -> None:
    task = Clean(model=str(ink_checkpoint), samples=2)
    with pytest.raises(FlowkitError, match="samples are ink, and no clean pages"):
        run(BatchJob(["scans"], "out", task, save_samples="s"))
    with pytest.raises(FlowkitError, match='unknown map "probability"'):
        run(BatchJob(["scans"], "out", task, maps={"probability": "p"}))
    with pytest.raises(SystemExit):
        main(["clean", "scans", "-o", "out", "--save-samples", "s"])
