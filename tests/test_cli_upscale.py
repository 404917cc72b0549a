"""`flowkit upscale`: larger pages in every format, with scaled dpi, in the same runs as `binarize`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.cli import main
from flowkit.images.reader import count_pages, read
from flowkit.images.writer import PHOTO_SUFFIXES, write_picture
from flowkit.pages import binarize, upscale


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    Path("scans/deep").mkdir(parents=True)
    Image.fromarray(pixels).save("scans/1.png", dpi=(150, 100))
    first, second = Image.fromarray(pixels[::-1].copy()), Image.fromarray(pixels[:, ::-1].copy())
    first.save("scans/deep/2.tif", save_all=True, append_images=[second], dpi=(150, 100))
    return tmp_path


@pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
def test_twice_as_large_with_its_dpi(suffix: str, folder: Path, doubling_checkpoint: Path) -> None:
    out = f"large{suffix}"
    assert main(["upscale", "scans/1.png", "-o", out, "--model", str(doubling_checkpoint)]) == 0
    expected = upscale("scans/1.png", model=doubling_checkpoint).image
    found = read(out)
    if suffix == ".pdf":  # which is drawn at one resolution, the finer
        assert found.size == (72, 40)
    else:
        assert found.size == (48, 40)
        assert found.dpi == pytest.approx((300, 200), abs=0.02)
        error = np.abs(found.pixels.astype(int) - expected.reshape(*expected.shape[:2], -1)).mean()
        assert error == 0 if suffix not in (".jpg", ".jpeg") else error < 8


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_16_bits_stay_16_bits(
    suffix: str, colour: bool, folder: Path, doubling_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (24, 20, 3) if colour else (24, 20)).astype(np.uint16)
    write_picture("deep.png", deep, (150, 100))
    command = ["upscale", "deep.png", "-o", f"large{suffix}", "--model", str(doubling_checkpoint)]
    assert main([*command, "--samples", "2", "--save-samples", "s.png"]) == 0
    page = upscale("deep.png", model=doubling_checkpoint, samples=2, keep_samples=True)
    assert page.image.dtype == np.uint16
    assert len(np.unique(page.image)) > 256
    assert np.array_equal(read("s-02.png").pixels, page.samples[1].reshape(48, 40, -1))
    found, said = read(f"large{suffix}"), capsys.readouterr().err
    if suffix == ".jpg":
        assert found.pixels.dtype == np.uint8
        assert "deep.png: its 16 bits are written as 8 (.jpg holds no more)" in said
    else:
        assert np.array_equal(found.pixels, page.image.reshape(48, 40, -1))
        assert said == ""
    eight = upscale((deep // 257).astype(np.uint8), model=doubling_checkpoint, samples=2)
    assert np.abs(page.image / 257 - eight.image).mean() < 2


def test_folders_documents_samples_and_the_report(
    folder: Path, doubling_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--format",
        "tif",
        "--model",
        str(doubling_checkpoint),
        "--samples",
        "2",
        "--save-samples",
        "each",
    ]
    assert main(["upscale", "scans", "-o", "large", *options]) == 0
    assert count_pages(Path("large/deep/2.tif")) == 2
    names = sorted(str(path.relative_to("each")) for path in Path("each").rglob("*.png"))
    assert names == ["1-01.png", "1-02.png"] + [
        f"deep/2-00{page}-0{n}.png" for page in (1, 2) for n in (1, 2)
    ]
    lines = [json.loads(line) for line in Path("large/report.jsonl").read_text().splitlines()]
    assert [(line["output"], line["page"], line["dpi"]) for line in lines] == [
        ("1.tif", None, [300, 200]), ("deep/2.tif", 1, [300, 200]), ("deep/2.tif", 2, [300, 200]),
        ("deep/2.tif", None, None),
    ]  # fmt: skip
    assert {line["settings"]["task"] for line in lines} == {"upscale"}
    assert "large/1.tif: 40 x 48, 300 x 200 dpi\n" in capsys.readouterr().out
    assert main(["upscale", "scans", "-o", "large", *options]) == 0
    assert capsys.readouterr().err == "flowkit: 3 of 3 pages are done already (--overwrite does them again)\n"


def test_in_focus_and_as_ink(
    folder: Path, ink_checkpoint: Path, doubling_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["upscale", "scans/1.png", "-o", "a.png", "--model", str(doubling_checkpoint)]
    ink = ["--ink-model", str(ink_checkpoint)]
    plain, focused = (
        upscale("scans/1.png", model=doubling_checkpoint, focus=focus) for focus in (None, ink_checkpoint)
    )
    assert main([*command, "--focus", "ink", *ink]) == 0
    np.testing.assert_array_equal(read("a.png").pixels, focused.image)
    assert main([*command, "--binarize", *ink]) == 0
    assert " % ink\n" in capsys.readouterr().out
    expected = binarize(plain.image, model=ink_checkpoint).binary
    found = read("a.png")
    np.testing.assert_array_equal(found.pixels[..., 0] == 0, expected)
    assert found.dpi == pytest.approx((300, 200), abs=0.02)
    assert main(["upscale", "scans/1.png", "-o", "a.jpg", *command[4:], "--binarize"]) == 2
    assert 'a.jpg: ".jpg", expected .png' in capsys.readouterr().err
    assert main([*command, "--focus", "ink", "--ink-model", str(doubling_checkpoint)]) == 2
    assert "its target is continuous" in capsys.readouterr().err


def test_what_cannot_be_used(
    folder: Path, ink_checkpoint: Path, doubling_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out, model, message in (
        ("a.png", ink_checkpoint, "its target is binary with 1 channel(s), expected continuous with 1 or 3"),
        ("a.gif", doubling_checkpoint, 'a.gif: ".gif", expected .png, .tif, .tiff, .pdf, .webp, .jp2, .jpg'),
    ):
        assert main(["upscale", "scans/1.png", "-o", out, "--model", str(model)]) == 2
        assert message in capsys.readouterr().err
    assert not Path("a.png").exists()
