"""`--set`: what it may change, and what it says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowkit.errors import RecipeError
from flowkit.recipe import Recipe, read_recipe

RECIPE: dict[str, Any] = {
    "version": 1,
    "vars": {"steps": 2, "enc": "unet"},
    "encoder": {"type": "$enc"},
    "flow": [
        "squeeze",
        {
            "repeat": "$steps",
            "steps": ["actnorm", "affine_injector", {"type": "affine_coupling", "hidden": 8}],
        },
    ],
}


def changed(*overrides: str) -> Recipe:
    return read_recipe(RECIPE, overrides)


def test_variables_options_and_steps_can_be_set() -> None:
    recipe = changed(
        "vars.steps=3",
        "train.lr=1e-4",
        "encoder.widths=[8, 16]",
        "target.channels = 1",
        "name=mine",
        "flow.1.between=[conv1x1]",
        "flow[1].steps[2].hidden=4",
        "flow.1.steps.1.kernel=1",
    )
    assert recipe.data["vars"]["steps"] == 3
    assert recipe.train.lr == 1e-4
    assert recipe.plan.encoder.options == {"widths": (8, 16)}
    assert recipe.plan.target.options == {"channels": 1}
    assert recipe.name == "mine"
    assert len(recipe.layers) == 1 + 3 * 3 + 2
    assert recipe.data["flow"][1]["steps"][2] == {"type": "affine_coupling", "hidden": 4}
    assert recipe.data["flow"][1]["steps"][1] == {"type": "affine_injector", "kernel": 1}


def test_the_last_of_two_counts_and_the_source_is_not_changed() -> None:
    assert changed("vars.steps=5", "vars.steps=7").data["vars"]["steps"] == 7
    assert RECIPE["vars"]["steps"] == 2


def test_a_mapping_does_the_same_as_a_list() -> None:
    assert read_recipe(RECIPE, {"vars.steps": 4, "encoder.widths": (8, 16)}) == changed(
        "vars.steps=4", "encoder.widths=[8, 16]"
    )


def test_a_recipe_that_was_read_can_be_changed_again() -> None:
    recipe = changed("vars.steps=4")
    assert read_recipe(recipe, ["train.seed=1"]) == changed("vars.steps=4", "train.seed=1")
    assert recipe == changed("vars.steps=4")


def test_a_whole_section_can_be_set() -> None:
    recipe = changed("encoder={type: rrdb, blocks: 2, stack: []}")
    assert recipe.plan.encoder.name == "rrdb"


WRONG = {
    "vars.stesp=1": '--set vars.stesp: there is no "stesp" in vars; did you mean "steps"?',
    "train.lrr=1": '--set train.lrr: there is no "lrr" in train; did you mean "lr"?',
    "trian.lr=1": '--set trian.lr: there is no "trian" in the recipe; did you mean "train"?',
    "encoder.bloks=1": '--set encoder.bloks: there is no "bloks" in encoder; did you mean "blocks"?',
    "encoder.blocks.0=1": '--set encoder.blocks.0: there is no "0" in encoder.blocks; '
    "encoder.blocks holds no keys",
    "flow.2.repeat=1": '--set flow.2.repeat: there is no "2" in flow; it has 2 items, counted from 0',
    "flow.repeat=1": '--set flow.repeat: there is no "repeat" in flow; it has 2 items, counted from 0',
    "flow.1.hidden=1": '--set flow.1.hidden: there is no "hidden" in flow[1]; known: between, repeat, steps',
    "flow.1.steps.0.lu=1": '--set flow.1.steps.0.lu: there is no "lu" in flow[1].steps[0]; known: type',
    "vars.steps.x=1": '--set vars.steps.x: there is no "x" in vars.steps; vars.steps holds no keys',
    "extends=x": '--set extends: there is no "extends" in the recipe; ',
    "=1": "--set =1: expected PATH=VALUE, as in --set vars.steps=8",
    "vars.steps": "--set vars.steps: expected PATH=VALUE, as in --set vars.steps=8",
    "vars.steps=[1": "not valid YAML: while parsing a flow sequence, expected ',' or ']', "
    "but got '<stream end>'\n  at --set vars.steps",
    "vars.steps=!!int 1": 'a recipe holds plain data only; the tag "tag:yaml.org,2002:int" is refused\n'
    "  at --set vars.steps",
    "flow.1.repeat=many": "\"repeat\" must be a whole number from 0 to 10,000, got 'many'\n"
    "  at --set flow.1.repeat: flow[1].repeat",
    "train.lr=fast": "option \"lr\" of train must be float, got 'fast'\n  at --set train.lr: train.lr",
    "encoder.type=vit": (
        'unknown encoder "vit"; known: none, rrdb, stacked, unet\n  at --set encoder.type: encoder.type'
    ),
}


@pytest.mark.parametrize("override", WRONG)
def test_message(override: str) -> None:
    with pytest.raises(RecipeError) as error:
        changed(override)
    assert str(error.value).startswith(WRONG[override])


@pytest.mark.usefixtures("toys")
def test_what_was_replaced_takes_its_lines_with_it(folder: Path) -> None:
    Path("r.yaml").write_text("version: 1\nencoder: {type: flat}\nflow: [{type: toy, need: 1}]\n")
    with pytest.raises(RecipeError) as error:
        read_recipe("r.yaml", ["flow.0={type: toy}"])
    assert str(error.value) == 'layer "toy" needs option "need" (int)\n  at --set flow.0: flow[0].need'


def test_a_value_in_python_is_plain_data() -> None:
    with pytest.raises(RecipeError) as error:
        read_recipe(RECIPE, {"vars.steps": Path()})
    assert str(error.value).startswith("a recipe holds plain data only, got PosixPath\n  at --set vars.steps")


def test_all_overrides_and_the_recipe_are_reported_together() -> None:
    with pytest.raises(RecipeError) as error:
        changed("vars.x=1", "vars.y=1", "train.steps=0")
    assert str(error.value) == (
        '--set vars.x: there is no "x" in vars; known: enc, steps\n'
        '--set vars.y: there is no "y" in vars; known: enc, steps\n'
        'option "steps" of train must be 1 or more, got 0\n  at --set train.steps: train.steps'
    )
