"""A name stands for one model: its recipe, the file of that recipe, and its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from flowkit import build, load, read_recipe
from flowkit.checkpoint import shipped_weights
from flowkit.cli import main
from flowkit.flow import ConditionalFlow
from flowkit.recipe import read_recipe_text, shipped

ROOT = Path(__file__).parents[1]
MODELS = sorted(shipped_weights())


def shapes(model: ConditionalFlow) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in model.state_dict().items()}


@pytest.mark.parametrize("file", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_recipe_is_called_as_its_file(file):
    assert yaml.safe_load(file.read_text())["name"] == file.stem.replace("_", "-")
    assert "-" not in file.stem


@pytest.mark.parametrize("name", MODELS)
def test_the_network_of_a_recipe_is_that_of_the_weights(name):
    file = name.replace("-", "_")
    loaded = load(name)
    for source in (name, file, f"recipes/{file}.yaml", ROOT / "recipes" / f"{file}.yaml"):
        assert shapes(build(source)) == shapes(loaded), source
    assert shapes(load(file)) == shapes(loaded)
    carried, shown = read_recipe_text(loaded.recipe), read_recipe(name)
    for recipe in (carried, shown):
        recipe.data.pop("train")  # the weights tell the last training of several
    assert carried == shown


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped())
def test_safetensors_takes_every_recipes_weights(name, tmp_path):
    models = [build(name), *([load(name)] if name in MODELS else [])]
    for model in models:
        state = model.state_dict()
        save_file(state, tmp_path / "weights.safetensors")  # refuses what is not contiguous, or shared
        again = load_file(tmp_path / "weights.safetensors")
        assert state.keys() == again.keys()
        assert all(torch.equal(again[key], value) for key, value in state.items())


def test_weights_ship_with_a_recipe_of_their_name():
    assert set(MODELS) <= set(shipped())


@pytest.mark.parametrize("name", MODELS)
def test_the_verbs_agree(name, capsys):
    assert main(["check", name]) == 0
    parameters = capsys.readouterr().out.partition(" parameters")[0].split()[-1]
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.replace("\n  ", " ").splitlines()
    [listed] = [line for line in lines if line.startswith(f"{name}: ")]
    assert f"({parameters} parameters, " in listed
    assert main(["show", name]) == 0
    shown = read_recipe_text(capsys.readouterr().out)
    assert (shown.name, f"{shown.about} ({parameters}") == (name, listed[len(name) + 2 :].split(" par")[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_fine_tuned_by_its_name(name, drawn, tmp_path):
    changes = {"steps": 1, "batch": 1, "patch": 64, "warmup": 0, "ema": 0}
    sets = [word for key, value in changes.items() for word in ("--set", f"train.{key}={value}")]
    command = ["train", name, "--init", name, "--data", str(drawn), "--out", str(tmp_path / "run")]
    assert main([*command, "--workers", "0", "--quiet", *sets]) == 0
    tuned = load(tmp_path / "run" / "model.safetensors")
    before = load(name).state_dict()
    assert shapes(tuned) == {key: value.shape for key, value in before.items()}
    learned = dict(tuned.named_parameters()).keys()
    moved = max(
        float((value - before[key]).abs().max())
        for key, value in tuned.state_dict().items()
        if key in learned
    )
    rate = read_recipe(name).train.lr
    assert 0.5 * rate < moved < 2 * rate, "one step of AdamW from the weights that ship"


def test_an_error_names_both_models(capsys, drawn, tmp_path):
    command = ["train", "paper_binarize", "--set", "encoder.blocks=1", "--set", "encoder.stack=[0]"]
    command += ["--init", "binarize", "--data", str(drawn), "--out", str(tmp_path / "run"), "--dry-run"]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert 'is a model of recipe "binarize", expected one of "paper-binarize": ' in error
    assert error.index("paper-binarize") < error.index("weight ")
