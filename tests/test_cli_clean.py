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
from flowkit.pages import clean, read_layout


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


LAYOUT = """<PcGts><Page imageWidth="40" imageHeight="48">
<Border><Coords points="4,4 36,4 36,44 4,44"/></Border>
<TextRegion><Coords points="0,0 20,0 20,30 0,30"/></TextRegion>
<ImageRegion><Coords points="22,8 34,8 34,40 22,40"/></ImageRegion></Page></PcGts>"""


def test_a_layout_leaves_its_regions(folder: Path, ink_checkpoint: Path) -> None:
    Path("page.xml").write_text(LAYOUT)
    options = ["--layout", "page.xml", "--model", str(ink_checkpoint)]
    assert main(["clean", "scans/1.png", "-o", "part.png", *options]) == 0
    found = read("part.png").pixels
    layout = read_layout("page.xml")
    inside, pictures = layout.inside((48, 40)), layout.of_pictures((48, 40))
    assert (found[~inside] == 255).all()
    assert found[pictures & inside].std() > 10  # grey or colour, as the page was there
    assert np.array_equal(found, clean("scans/1.png", model=ink_checkpoint, layout=layout).image)
    assert main(["clean", "scans/1.png", "-o", "whole.png", "--layout", "none.xml"]) == 2


def test_a_folder_of_layouts_is_part_of_the_run(folder: Path, ink_checkpoint: Path) -> None:
    Path("page").mkdir()
    for name in ("1", "2-001", "2-002"):
        Path(f"page/{name}.xml").write_text(LAYOUT)
    command = ["clean", "scans", "-o", "out", "--layout", "page", "--model", str(ink_checkpoint)]
    assert main(command) == 0
    written = Path("out/report.jsonl").read_bytes()
    assert main(command) == 0
    assert Path("out/report.jsonl").read_bytes() == written  # nothing to do
    Path("page/1.xml").write_text(LAYOUT.replace("0,30", "0,20"))
    assert main(command) == 0
    assert Path("out/report.jsonl").read_bytes() != written


def test_what_there_is_not(folder: Path, ink_checkpoint: Path) -> None:
    task = Clean(model=str(ink_checkpoint), samples=2)
    with pytest.raises(FlowkitError, match="samples are ink, and no clean pages"):
        run(BatchJob(["scans"], "out", task, save_samples="s"))
    with pytest.raises(FlowkitError, match='unknown map "probability"'):
        run(BatchJob(["scans"], "out", task, maps={"probability": "p"}))
    with pytest.raises(SystemExit):
        main(["clean", "scans", "-o", "out", "--save-samples", "s"])
