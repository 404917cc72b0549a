"""Where pages are computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.batch import Binarize, Upscale
from flowkit.cli import main


def test_models_go_where_they_are_told(ink_checkpoint: Path) -> None:
    binarizing = Binarize(model=str(ink_checkpoint), device="meta").load()
    upscaling = Upscale(model="super-resolve-x2", device="meta").load()
    for model in (binarizing, upscaling):
        assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


@pytest.mark.parametrize("verb", ["binarize", "upscale"])
def test_a_device_that_is_not_there(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "page.png", "-o", f"{tmp_path}/out.png", "--device", "abacus"]) == 2
    assert 'device "abacus" cannot be used' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
