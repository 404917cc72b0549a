"""Pages in bfloat16: nearly the same results, by default where it is quick, and never emulated."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowkit import ConditionalFlow
from flowkit.cli import main
from flowkit.errors import FlowkitError, MemoryLimitError
from flowkit.images.reader import read
from flowkit.layers.features import dense
from flowkit.pages import binarize, upscale
from flowkit.pages.memory import LOW
from flowkit.pages.precision import resolved
from flowkit.pages.sampler import PageSampler


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any machine: emulated, it is slow and the same."""
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True, "avx512_bf16": True})


@pytest.fixture
def page() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (70, 52), dtype=np.uint8)


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize("name", ["grey_flow", "colour_flow"])
def test_encoder_and_networks_are_low_and_results_are_not(
    name: str, page: np.ndarray, request: pytest.FixtureRequest
) -> None:
    model: ConditionalFlow = request.getfixturevalue(name)
    exact, low = (
        PageSampler(model, read(page), seed=0, core=64, precision=precision)
        for precision in ("float32", "bfloat16")
    )
    seen: list[dict] = []
    for sampler in (exact, low):
        decoder = sampler.decoder
        sampler.decoder = lambda features, *rest, of=decoder: seen.append(features) or of(features, *rest)
        [piece] = sampler.draw(sampler.tiles[0], [0])
        assert piece.y.dtype == torch.float32
    for stride, features in seen[0].items():
        wanted, rounded = dense(features), dense(seen[1][stride])
        assert (wanted.dtype, rounded.dtype) == (torch.float32, torch.bfloat16)
        assert 0 < float((rounded - wanted).abs().mean() / wanted.abs().mean()) < 0.02


@pytest.mark.usefixtures("able")
def test_likelihood_and_enlarged_pages(
    page: np.ndarray, grey_flow: ConditionalFlow, continuous_flow: ConditionalFlow
) -> None:
    high, low = (
        binarize(page, model=grey_flow, likelihood=True, precision=precision).bits_per_dim
        for precision in ("float32", "bfloat16")
    )
    assert low != high
    assert low == pytest.approx(high, rel=0.1)
    images = [
        upscale(page, model=continuous_flow, precision=precision).image.astype(int)
        for precision in ("float32", "bfloat16")
    ]
    assert 0 < np.abs(images[0] - images[1]).mean() < 10


def test_where_it_is_emulated_it_is_refused(
    page: np.ndarray, grey_flow: ConditionalFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    with pytest.raises(FlowkitError, match="precision bfloat16: this device .* expected float32"):
        binarize(page, model=grey_flow, precision="bfloat16")
    with pytest.raises(ValueError, match='auto, float32 or bfloat16, got "half"'):
        resolved("half")


@pytest.mark.parametrize(
    ("capabilities", "wanted"),
    [
        ({"avx2": True, "avx512_bf16": False}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"bf16": True}, "float32"),  # on ARM nothing was measured
    ],
)
def test_auto_goes_by_the_processor(
    capabilities: dict[str, bool], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowkit.pages.precision.QUICK", ("amx_bf16", "avx512_bf16"))
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    assert resolved("auto") == wanted
    assert resolved("auto", "cuda") == "float32"
    assert resolved("float32") == "float32"


@pytest.mark.usefixtures("able")
def test_densities_are_exact_unless_asked_otherwise(
    page: np.ndarray, grey_flow: ConditionalFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    class Watched(PageSampler):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)
            made.append(self.precision)

    monkeypatch.setattr("flowkit.pages.precision.QUICK", ("avx512_bf16",))
    monkeypatch.setattr("flowkit.pages.ink.PageSampler", Watched)
    binarize(page, model=grey_flow, likelihood=True, scale=1)
    assert made == ["bfloat16", "float32"]
    made.clear()
    binarize(page, model=grey_flow, likelihood=True, scale=1, precision="bfloat16")
    assert made == ["bfloat16", "bfloat16"]


@pytest.mark.usefixtures("able")
def test_pages_of_another_precision_are_not_done(
    page: np.ndarray, ink_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(page).save(tmp_path / "page.png")
    verb = ["binarize", str(tmp_path / "page.png"), "-o", f"{tmp_path}/out/", "--model", str(ink_checkpoint)]
    for options in ([], ["--precision", "bfloat16"], ["--precision", "bfloat16"]):
        assert main([*verb, *options]) == 0
    lines = (tmp_path / "out" / "report.jsonl").read_text().splitlines()
    assert [json.loads(line)["settings"].get("precision") for line in lines] == ["float32", "bfloat16"]
    assert "1 of 1 pages are done already" in capsys.readouterr().err


@pytest.mark.usefixtures("able")
def test_memory_is_planned_for_what_low_precision_needs_more(
    page: np.ndarray, grey_flow: ConditionalFlow
) -> None:
    needed = []
    for precision in ("float32", "bfloat16"):
        with pytest.raises(MemoryLimitError) as refused:
            PageSampler(grey_flow, read(page), seed=0, memory=1, precision=precision)
        needed.append(int(re.search(r"needs ([\d,]+) MB", str(refused.value))[1].replace(",", "")))
    assert needed[1] - needed[0] == pytest.approx(LOW / 1e6, abs=1)


def test_windows_of_a_streamed_page_have_one_size(grey_flow: ConditionalFlow) -> None:
    sampler = PageSampler(grey_flow, read(np.zeros((1400, 1100), np.uint8)), seed=0)
    assert sampler.streamed
    assert len(sampler.tiles) > 3
    assert len({tuple(span.last - span.first for span in tile) for tile in sampler.tiles}) == 1
