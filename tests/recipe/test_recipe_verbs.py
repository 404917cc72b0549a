"""`flowkit check`, `show` and `layers`."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.cli import main
from flowkit.recipe import read_recipe, read_recipe_text

RECIPE = """\
version: 1
vars: {steps: 2}
encoder: {type: unet, widths: [4]}
flow:
  - squeeze
  - {repeat: $steps, steps: [actnorm, {type: affine_coupling, hidden: 4}]}
  - split
"""
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def recipe(folder: Path) -> None:
    Path("r.yaml").write_text(RECIPE)
    Path("bad.yaml").write_text(RECIPE.replace("squeeze", "squeze"))


def test_check(capsys: Capture) -> None:
    assert main(["check", "r.yaml", "--set", "vars.steps=1"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("r.yaml: ok, 4 layers, ")
    assert line.endswith(" parameters, latent channels 6 at 1/2, 6 at 1/2\n")


def test_check_reports_all_recipes(capsys: Capture) -> None:
    assert main(["check", "bad.yaml", "r.yaml", "gone.yaml"]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith("r.yaml: ok, 6 layers")
    assert captured.out.count("\n") == 1
    assert 'unknown layer "squeze"; did you mean "squeeze"?\n  at bad.yaml:5: flow[0]\n' in captured.err
    assert captured.err.endswith("no file gone.yaml\n")


def test_check_of_a_shape(capsys: Capture) -> None:
    assert main(["check", "r.yaml", "--set", "target={type: binary}", "--set", "flow.0.type=actnorm"]) == 2
    assert "on input Shape(channels=1, stride=1)" in capsys.readouterr().err


def test_show_prints_what_reads_back(capsys: Capture) -> None:
    assert main(["show", "r.yaml", "--set", "vars.steps=5"]) == 0
    assert read_recipe_text(capsys.readouterr().out) == read_recipe("r.yaml", ["vars.steps=5"])


def test_show_refuses_a_wrong_override(capsys: Capture) -> None:
    assert main(["show", "r.yaml", "--set", "vars.stesp=5"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert '--set vars.stesp: there is no "stesp" in vars; did you mean "steps"?' in captured.err


def test_layers(capsys: Capture, toys: None) -> None:
    assert main(["layers"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert [line for line in out.splitlines() if not line.startswith(" ")] == [
        "targets",
        "encoders",
        "layers",
        "losses",
        "sources",
        "degradations",
    ]
    assert "\n  toy: A layer with an option of each type.\n      need: int, rate: float = 0.5, " in out
    assert "mode: 'soft' | 'hard' = 'soft'" in out
    assert "sizes: list[int] = [1]" in out


def test_layers_of_one_kind(capsys: Capture) -> None:
    assert main(["layers", "--kind", "encoder"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("encoders\n  none: ")
    assert "squeeze" not in out


@pytest.mark.parametrize("verb", [["check", "r.yaml"], ["show", "r.yaml"], ["layers"]])
def test_import(capsys: Capture, verb: list[str]) -> None:
    assert main([*verb, "--import", "gone.py"]) == 2
    assert "--import gone.py: no such file" in capsys.readouterr().err
