"""Every kind of wrong recipe and the exact message, golden in wrong_recipes.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.errors import RecipeError
from flowkit.recipe import build, read_recipe


def _cases() -> list[tuple[str, str, str]]:
    blocks = Path(__file__).with_name("wrong_recipes.txt").read_text().split("\n## ")[1:]
    cases = []
    for block in blocks:
        name, _, rest = block.partition("\n")
        recipe, _, message = rest.partition("=>\n")
        cases.append((name, recipe, message.strip()))
    return cases


CASES = _cases()


def test_the_golden_file_is_read_whole() -> None:
    assert len(CASES) == 55
    assert all(recipe and message for _, recipe, message in CASES)


@pytest.mark.parametrize(("recipe", "message"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
@pytest.mark.usefixtures("toys")
def test_message(folder: Path, recipe: str, message: str) -> None:
    (folder / "r.yaml").write_text(recipe)
    with pytest.raises(RecipeError) as error:
        build("r.yaml")
    assert str(error.value) == message


def test_a_wrong_dict_has_paths_without_lines() -> None:
    with pytest.raises(RecipeError) as error:
        read_recipe({"version": 1, "encoder": {"type": "unet", "width": 3}, "flow": [("squeeze",), "squeze"]})
    assert str(error.value) == (
        'encoder "unet" has no option "width"; did you mean "widths"?\n  at <dict>: encoder.width\n'
        "a step must be a layer's name or a mapping with \"type\", got ['squeeze']\n  at <dict>: flow[0]\n"
        'unknown layer "squeze"; did you mean "squeeze"?\n  at <dict>: flow[1]'
    )


def test_a_dict_holds_plain_data_only() -> None:
    cyclic: list[object] = []
    cyclic.append(cyclic)
    with pytest.raises(RecipeError) as error:
        read_recipe({"version": 1, "name": b"x", "vars": {1: 2}, "flow": cyclic, "train": {"steps": 2**63}})
    assert str(error.value) == (
        "a recipe holds plain data only, got bytes\n  at <dict>: name\n"
        "key 1 must be text\n  at <dict>: vars\n"
        "nested more than 50 deep\n  at <dict>: flow\n"
        "the number does not fit into 64 bits\n  at <dict>: train.steps"
    )


def test_one_problem_for_a_step_however_often_it_is_repeated() -> None:
    flow = [{"repeat": 3, "steps": [{"repeat": 5, "steps": ["squeze"]}]}]
    with pytest.raises(RecipeError) as error:
        read_recipe({"version": 1, "encoder": {"type": "unet"}, "flow": flow})
    assert str(error.value).count("squeze") == 1
