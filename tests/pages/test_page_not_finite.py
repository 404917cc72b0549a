"""Pages for which a model puts out NaN or infinity: they fail, and are never taken for paper."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowkit import build, load, save
from flowkit.cli import main
from flowkit.errors import NotFiniteError
from flowkit.flow import ConditionalFlow
from flowkit.pages import binarize, upscale


def spoilt(model: ConditionalFlow, value: float) -> ConditionalFlow:
    model = copy.deepcopy(model)
    model.layers[1].bias.data[0] = value
    return model


PAGE = np.random.default_rng(0).integers(0, 256, (37, 53), dtype=np.uint8)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("samples", [1, 2])
def test_ink(grey_flow: ConditionalFlow, value: float, samples: int) -> None:
    with pytest.raises(
        NotFiniteError, match=r"the model's result is not finite in rows 0 to 37, columns 0 to 53"
    ):
        binarize(PAGE, model=spoilt(grey_flow, value), samples=samples, scale=1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_enlarged_pages(continuous_flow: ConditionalFlow, value: float) -> None:
    model = spoilt(continuous_flow, value)
    model.target.channels = 1
    with pytest.raises(NotFiniteError, match="the model's result is not finite"):
        upscale(PAGE, model=model)


def test_infinity_alone_is_no_colour() -> None:
    recipe = {
        "version": 1,
        "target": {"type": "continuous", "channels": 1, "noise": "none"},
        "encoder": {"type": "unet", "in_channels": 1, "widths": [4]},
        "flow": ["squeeze", "actnorm", {"type": "affine_injector", "hidden": 4}],
    }
    with pytest.raises(NotFiniteError, match="the model's result is not finite"):
        upscale(PAGE, model=spoilt(build(recipe).eval(), math.inf))


def test_likelihoods(grey_flow: ConditionalFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    dequantise = grey_flow.target.dequantise
    monkeypatch.setattr(
        grey_flow.target, "dequantise", lambda *given: (dequantise(*given)[0], torch.tensor([math.nan]))
    )
    with pytest.raises(NotFiniteError, match="the model's log-likelihood is not finite"):
        binarize(PAGE, model=grey_flow, likelihood=True)


def test_the_command_line_writes_nothing(
    ink_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = load(ink_checkpoint)
    flow.layers[1].log_scale.data.fill_(
        -1000
    )  # finite, so that the file loads: it is exp(1000) that overflows
    save(flow, tmp_path / "model.safetensors")
    Image.fromarray(PAGE).save(tmp_path / "page.png")
    out = tmp_path / "out.png"
    model = str(tmp_path / "model.safetensors")
    assert main(["binarize", str(tmp_path / "page.png"), "-o", str(out), "--model", model]) != 0
    assert "page.png: the model's result is not finite" in capsys.readouterr().err
    assert not out.exists()
