"""The weights that ship: what they promise on real pages (FLOWKIT_DATA), and on one that flowkit drew."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowkit import load
from flowkit.checkpoint import shipped_weights
from flowkit.cli import main
from flowkit.data import find_pairs, load_pages
from flowkit.degradations.scan import drawn_pair
from flowkit.metrics import dibco
from flowkit.metrics.super_resolution import consistency, psnr
from flowkit.pages import binarize, upscale

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_they_are_small_and_load():
    weights = shipped_weights()
    assert "binarize" in weights
    for name, path in weights.items():
        assert path.stat().st_size < 12_000_000
        assert load(name).recipe


def test_each_is_listed_and_has_a_card(capsys):
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    for name, path in shipped_weights().items():
        assert f"{name}: " in listed
        assert main(["models", name]) == 0
        card = capsys.readouterr().out
        assert card.startswith(f"# {name}\n")
        for section in ("Data", "Training", "Results", "Licence"):
            assert f"## {section}\n" in card, f"{path}: {section}"


def test_a_card_that_is_not_there(tmp_path, capsys):
    assert main(["models", "binarise"]) == 2
    assert 'did you mean "binarize"?' in capsys.readouterr().err
    (tmp_path / "mine.safetensors").touch()
    assert main(["models", str(tmp_path / "mine.safetensors")]) == 2
    assert "mine.md is missing" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_line_on_the_drawn_page(tmp_path, capsys):
    out, probability = tmp_path / "page_bw.png", tmp_path / "p.png"
    assert main(["binarize", str(EXAMPLES / "page.png"), "-o", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: 900 x 1200, 300 dpi, ")
    args = ["--probability", str(probability), "--samples", "4"]
    assert main(["binarize", str(EXAMPLES / "page.png"), "-o", str(out), *args]) == 0
    with Image.open(out) as image:
        assert (image.mode, image.size) == ("1", (900, 1200))
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        ink = ~np.asarray(image)
    truth = ~np.asarray(Image.open(EXAMPLES / "page_truth.png"))
    assert dibco.evaluate(ink, truth)["f_measure"] > 75
    p = np.asarray(Image.open(probability))
    assert p[truth].mean() > 200
    assert p[~truth].mean() < 20


@pytest.mark.parametrize("scale", [2, 4])
def test_super_resolution_of_a_drawn_page_beats_interpolation(scale):
    page, _ = drawn_pair(np.random.default_rng(21), 160, 320, [])
    high = Image.fromarray(page).convert("L")
    low = high.resize((320 // scale, 160 // scale), Image.Resampling.BICUBIC)
    made = upscale(low, model=f"super-resolve-x{scale}").image
    floor = np.asarray(low.resize(high.size, Image.Resampling.BICUBIC))
    truth = np.asarray(high)
    assert psnr(made, truth) > psnr(floor, truth) + 2
    assert consistency(made, np.asarray(low), scale) > consistency(floor, np.asarray(low), scale) + 5


@pytest.mark.slow
def test_dibco_2011_at_temperature_0(data):
    torch.set_num_threads(2)
    try:
        model = load("binarize")
        pages = load_pages(find_pairs([data / "dibco" / "2011"]))
        found = [(binarize(page.image, model=model).binary, page.ink) for page in pages]
    finally:
        torch.set_num_threads(1)
    assert len(found) == 16
    # the F-measure alone: the other scores of 16 pages take as long as the pages
    assert statistics.fmean(200 * (a & b).sum() / (a.sum() + b.sum()) for a, b in found) >= 93
