from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from flowkit import load
from flowkit.cli import main
from flowkit.data.tasks import reduce
from flowkit.evaluation.low_resolution import KINDS
from flowkit.evaluation.super_resolution import FLOOR
from flowkit.metrics import super_resolution as metrics

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


@pytest.fixture
def lines(tmp_path):
    """Two lines of print with their texts; sides that are no multiples of 2."""
    folder = tmp_path / "lines"
    folder.mkdir()
    for i, text in enumerate(("Seven words of a line", "and of another one")):
        image = Image.new("RGB", (361, 51), (235, 230, 215))
        ImageDraw.Draw(image).text((9, 6), text, fill=(30, 25, 20), font=ImageFont.load_default(30))
        image.save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(text + "\n")
    return folder


def rows_of(out) -> dict[tuple[str, str | None, int | None], dict[str, float]]:
    data = json.loads((out / "results" / "evaluation.json").read_text())
    return {(r["page"], r["by"], r["temperature"], r["samples"]): r["scores"] for r in data["pages"]}


def test_scores_are_of_what_the_model_makes_of_the_reduced_image(doubling, lines, tmp_path):
    command = ["evaluate", str(doubling), "--data", str(lines), "--quiet", "--out", str(tmp_path / "out")]
    assert main([*command, "--temperatures", "0,0.5", "--samples", "1,3"]) == 0
    rows = rows_of(tmp_path / "out")
    high = np.asarray(Image.open(lines / "0.png"))[:50, :360]
    low = reduce(high, 2)
    bicubic = np.asarray(Image.fromarray(low).resize((360, 50), Image.Resampling.BICUBIC))
    assert rows["0.png", FLOOR.by, None, None]["psnr"] == pytest.approx(metrics.psnr(bicubic, high))
    flow = load(doubling)
    # the page is padded to what the flow takes
    padded = np.pad(
        low, ((0, -low.shape[0] % flow.multiple), (0, -low.shape[1] % flow.multiple), (0, 0)), "edge"
    )
    image = torch.from_numpy(padded).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        y = flow(image).sample(1, temperature=0)[0, 0, :, :50, :360].clamp(0, 1)
    central = np.rint(255 * y.permute(1, 2, 0).numpy()).astype(np.uint8)
    scores = rows["0.png", str(doubling), 0.0, 1]
    assert scores["psnr"] == pytest.approx(metrics.psnr(central, high), abs=1e-3)
    assert scores["ssim"] == pytest.approx(metrics.ssim(central, high), abs=1e-4)
    assert scores["consistency"] == pytest.approx(metrics.consistency(central, low, 2), abs=1e-3)
    assert "diversity" not in scores
    assert rows["0.png", str(doubling), 0.5, 3]["diversity"] > 0
    assert "reduced 2 times" in (tmp_path / "out" / "results.md").read_text()


def test_scores_of_what_is_near_ink(doubling, lines, tmp_path, capsys):
    command = ["evaluate", str(doubling), "--data", str(lines), "--quiet", "--focus", "ink"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    scores = rows_of(tmp_path / "out")["0.png", FLOOR.by, None, None]
    high = np.asarray(Image.open(lines / "0.png"))[:50, :360]
    bicubic = np.asarray(Image.fromarray(reduce(high, 2)).resize((360, 50), Image.Resampling.BICUBIC))
    near = ndimage.maximum_filter(high[..., 0] < 128, 13)
    assert 0.2 < near.mean() < 0.8
    assert scores["text_psnr"] == pytest.approx(metrics.psnr(bicubic, high, near), abs=0.2)
    assert scores["text_ssim"] == pytest.approx(metrics.ssim(bicubic, high, near), abs=0.02)
    assert scores["text_psnr"] < scores["psnr"] - 0.5  # paper is easy
    Image.new("RGB", (60, 50), (160, 160, 160)).save(lines / "blank.png")
    assert main(command) == 2
    assert "blank.png: --focus ink needs text, but binarize finds no ink" in capsys.readouterr().err


def test_images_that_were_trained_on_and_options_of_binarization_are_refused(
    checkpoint, doubling_recipe, lines, capsys
):
    seen = np.asarray(Image.open(lines / "1.png"))[:50, :360]
    file = checkpoint(doubling_recipe, "seen.safetensors", pages=[seen])
    assert main(["evaluate", str(file), "--data", str(lines), "--quiet"]) == 2
    assert "1.png: " in capsys.readouterr().err
    assert main(["evaluate", str(file), "--data", str(lines), "--baselines", "otsu"]) == 2
    assert "--baselines is for binarization" in capsys.readouterr().err
    assert main(["evaluate", "otsu", "--data", str(lines), "--focus", "ink"]) == 2
    assert "--focus is for super-resolution" in capsys.readouterr().err


def test_kinds_of_low_resolution_stand_beside_bicubic(doubling, lines, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["evaluate", str(doubling), "--data", str(lines), "--quiet", "--out", str(out)]
    assert main([*command, "--low", "phone,bicubic,box,phone"]) == 0
    data = json.loads((out / "results" / "evaluation.json").read_text())
    [part] = data["parts"]
    assert [row["low resolution"] for row in part["rows"]] == ["phone", "bicubic", "box"]
    for row in part["rows"]:
        assert row["gain, dB"] == pytest.approx(row[f"PSNR, {doubling}, T 0"] - row["PSNR, bicubic"])
    assert part["rows"][0]["PSNR, bicubic"] < part["rows"][1]["PSNR, bicubic"] - 0.3
    assert "bicubic, then a blur of sigma 0.6" in part["about"][0]
    scores = {(row["set"], row["by"]): row["scores"] for row in data["pages"] if row["page"] == "0.png"}
    high = np.asarray(Image.open(lines / "0.png"))[:50, :360]
    low = reduce(high, 2, "box")
    bicubic = np.asarray(Image.fromarray(low).resize((360, 50), Image.Resampling.BICUBIC))
    of_box = scores[f"{lines} box", FLOOR.by]
    assert of_box["psnr"] == pytest.approx(metrics.psnr(bicubic, high))
    assert of_box["consistency"] == pytest.approx(metrics.consistency(bicubic, low, 2, "box"))
    assert "consistency" not in scores[f"{lines} phone", FLOOR.by]
    capsys.readouterr()
    assert main([*command, "--low", "phon"]) == 2
    assert '--low: unknown kind "phon"; did you mean "phone"' in capsys.readouterr().err
    assert main(["evaluate", "otsu", "--data", str(lines), "--low", "jpeg"]) == 2
    assert "--low is for super-resolution" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_small_images_of_every_kind_are_seeded(kind, lines):
    colour = np.asarray(Image.open(lines / "0.png"))[:48, :360]
    grey = np.asarray(Image.fromarray(colour).convert("L"))
    for high in (colour, grey):
        low = KINDS[kind].make(high, 4, 3)
        assert low.shape == (12, 90, *high.shape[2:])
        assert low.dtype == np.uint8
        assert np.array_equal(low, KINDS[kind].make(high, 4, 3))
        random = not np.array_equal(low, KINDS[kind].make(high, 4, 4))
        assert random == (kind in ("noisy", "phone"))
        assert np.abs(low.astype(float) - reduce(high, 4)).mean() < 15


def test_images_too_small_to_be_scored_are_named(doubling, tmp_path, capsys):
    folder = tmp_path / "small"
    folder.mkdir()
    Image.new("RGB", (40, 9)).save(folder / "s.png")
    assert main(["evaluate", str(doubling), "--data", str(folder)]) == 2
    assert "s.png: is 40 x 8, SSIM needs 11 x 11" in capsys.readouterr().err


@needs_tesseract
def test_what_can_be_read_lies_between_floor_and_ceiling(doubling, lines, tmp_path):
    out = tmp_path / "out"
    command = ["evaluate", str(doubling), "--data", str(lines), "--quiet", "--out", str(out)]
    assert main([*command, "--ocr", "eng", "--psm", "7"]) == 0
    rows = rows_of(out)
    assert rows["0.png", "high resolution", None, None] == {"cer": 0}
    assert {"psnr", "cer"} < rows["0.png", str(doubling), 0.0, 1].keys()
    [part] = json.loads((out / "results" / "evaluation.json").read_text())["parts"]
    assert [row["by"] for row in part["rows"]] == ["bicubic", f"{doubling}, T 0", "high resolution"]


@needs_tesseract
def test_binarizations_are_read_beside_the_grey_page(checkpoint, lines, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["evaluate", str(checkpoint()), "--data", str(lines), "--quiet", "--ocr", "eng", "--psm", "7"]
    assert main([*command, "--baselines", "otsu", "--out", str(out)]) == 0
    rows = rows_of(out)
    assert rows["1.png", "grey", None, None] == rows["1.png", "otsu", None, None] == {"cer": 0}
    assert rows["1.png", str(tmp_path / "tiny.safetensors"), 0.0, 1]["cer"] > 0  # its weights are random
    (lines / "1.txt").unlink()
    capsys.readouterr()
    assert main(command) == 2
    assert "1.png: no text beside it (1.txt)" in capsys.readouterr().err
