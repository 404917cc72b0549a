"""Files, shipped names and `extends`."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.errors import RecipeError
from flowkit.recipe import read_recipe, read_recipe_text, shipped

BASE = """\
version: 1
name: base
vars: {steps: 2}
encoder: {type: rrdb, blocks: 2, stack: [0, 1]}
flow:
  - {repeat: $steps, steps: [squeeze]}
train: {lr: 1e-4, batch: 2}
"""


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)


def fails(source: str | Path) -> str:
    with pytest.raises(RecipeError) as error:
        read_recipe(source)
    return str(error.value)


def test_mappings_merge_and_lists_replace(folder: Path) -> None:
    write("sub/base.yaml", BASE)
    write("sub/child.yaml", "extends: base.yaml\nname: child\nencoder: {stack: [0]}\ntrain: {batch: 3}\n")
    recipe = read_recipe("sub/child.yaml")
    assert recipe.name == "child"
    assert recipe.data["encoder"] == {"type": "rrdb", "blocks": 2, "stack": [0]}
    assert (recipe.train.lr, recipe.train.batch) == (1e-4, 3)
    assert "extends" not in recipe.data
    assert read_recipe_text(recipe.text()) == recipe


def test_another_type_replaces_the_mapping(folder: Path) -> None:
    write("base.yaml", BASE)
    write("child.yaml", "extends: base.yaml\nencoder: {type: unet}\n")
    assert read_recipe("child.yaml").data["encoder"] == {"type": "unet"}


def test_errors_name_the_file_that_holds_them(folder: Path) -> None:
    write("base.yaml", BASE.replace("blocks", "bloks"))
    write("child.yaml", "extends: base.yaml\ntrain:\n  batch: x\n")
    assert fails("child.yaml") == (
        'encoder "rrdb" has no option "bloks"; did you mean "blocks"?\n  at base.yaml:4: encoder.bloks\n'
        "option \"batch\" of train must be int, got 'x'\n  at child.yaml:3: train.batch"
    )


@pytest.mark.usefixtures("toys")
def test_a_replaced_list_takes_its_lines_with_it(folder: Path) -> None:
    write("base.yaml", "version: 1\nencoder: {type: flat}\nflow: [{type: toy, need: 1}]\n")
    write("child.yaml", "extends: base.yaml\n\n\nflow:\n  - type: toy\n")
    assert fails("child.yaml") == 'layer "toy" needs option "need" (int)\n  at child.yaml:5: flow[0].need'


def test_chains_and_shipped_names(folder: Path) -> None:
    write("a.yaml", "extends: b.yaml\nname: a\n")
    write("b.yaml", "extends: binarize\nname: b\nvars: {steps: 3}\n")
    recipe = read_recipe("a.yaml")
    assert recipe.name == "a"
    assert len(recipe.layers) < len(read_recipe("binarize").layers)


def test_a_dict_can_extend() -> None:
    assert read_recipe({"extends": "binarize", "name": "mine"}).about == read_recipe("binarize").about


def test_cycles_and_bad_bases_are_refused(folder: Path) -> None:
    write("a.yaml", "extends: b.yaml\n")
    write("b.yaml", "name: b\nextends: ./a.yaml\n")
    assert fails("a.yaml") == '"./a.yaml" extends itself\n  at b.yaml:2: extends'
    write("c.yaml", "extends: gone.yaml\n")
    assert fails("c.yaml") == "no file gone.yaml\n  at c.yaml:1: extends"
    write("d.yaml", "extends: [a, b]\n")
    assert (
        fails("d.yaml")
        == "\"extends\" must be one recipe, a path or a name, got ['a', 'b']\n  at d.yaml:1: extends"
    )
    write("e.yaml", "extends: broken.yaml\n")
    write("broken.yaml", "- 1\n")
    assert fails("e.yaml").splitlines()[1] == "  at e.yaml:1: extends"


def test_a_text_stands_alone() -> None:
    with pytest.raises(RecipeError) as error:
        read_recipe_text("version: 1\nextends: binarize\n")
    assert str(error.value) == '"extends" is for recipe files\n  at <checkpoint>:2: extends'


def test_names_and_paths(folder: Path) -> None:
    by_name = read_recipe("binarize")
    assert read_recipe("recipes/binarize.yaml") == by_name  # from a folder that has none
    assert read_recipe("super-resolve-x4") == read_recipe("super_resolve_x4")
    assert read_recipe("recipes/super-resolve-x4.yaml") == read_recipe("super_resolve_x4")
    Path("binarize").mkdir()  # an output folder of that name is in nobody's way
    assert read_recipe("binarize") == by_name
    Path("mine").write_text(BASE)
    assert read_recipe("mine").name == "base"
    assert read_recipe(folder / "mine").name == "base"


def test_a_file_of_ones_own_comes_before_the_shipped_one(folder: Path) -> None:
    write("recipes/binarize.yaml", BASE)
    assert read_recipe("recipes/binarize.yaml").name == "base"


def test_what_is_not_there(folder: Path) -> None:
    assert fails("binarise") == 'no recipe "binarise": neither a file nor shipped; did you mean "binarize"?'
    assert fails("x/binarize.yaml") == 'no file x/binarize.yaml; did you mean the shipped recipe "binarize"?'
    assert fails("binarize.yaml") == 'no file binarize.yaml; did you mean the shipped recipe "binarize"?'
    assert fails("x/super-resolve_x4.yml").endswith('did you mean the shipped recipe "super-resolve-x4"?')
    assert fails(Path("x.yaml")) == "no file x.yaml"
    assert fails(f"{'x' * 5000}.yaml").startswith("no file xxx")
    assert fails(BASE).endswith("got a text of several lines; use read_recipe_text")


def test_shipped_recipes_are_listed() -> None:
    assert {"binarize", "super-resolve-x4"} <= set(shipped())
