"""Recipe -> model: the walk of shapes, repeats, options, and the text that travels with the model."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import pytest

import flowkit
from flowkit.errors import RecipeError
from flowkit.layers import FlowLayer, Shape
from flowkit.recipe import TrainOptions, build, read_recipe, read_recipe_text
from flowkit.recipe.schema import count, unroll
from flowkit.registry import register

EXAMPLE = """\
version: 1
name: srflow-x4
about: SRFlow (Lugmayr et al., ECCV 2020), 4x, 3 levels of 16 conditional steps
vars: {hidden: 8, steps: 16}
target: {channels: 3, noise: gaussian}
encoder: {type: rrdb, blocks: 2, stack: [0, 1], features: 8, growth: 4}
flow:
  - repeat: 3                                   # levels
    steps:
      - squeeze
      - {repeat: 2, steps: [actnorm, conv1x1]}
      - repeat: $steps
        steps:
          - actnorm
          - conv1x1
          - {type: affine_injector, hidden: $hidden}
          - {type: affine_coupling, hidden: $hidden}
    between:
      - split                                   # after every level but the last
train: {lr: 2.5e-4, steps: 200_000, batch: 16}
"""


def flow(*steps: Any, **sections: Any) -> dict[str, Any]:
    return {"version": 1, "encoder": {"type": "flat"}, "flow": list(steps), **sections}


def test_the_example_of_the_design() -> None:
    recipe = read_recipe_text(EXAMPLE)
    assert recipe.train == TrainOptions(lr=2.5e-4, steps=200_000, batch=16)
    model = build(recipe)
    assert len(model.layers) == 3 * (1 + 2 * 2 + 16 * 4) + 2 == 209
    assert list(model.latents) == [Shape(6, 2), Shape(12, 4), Shape(48, 8)]
    assert model.recipe == recipe.text()
    assert build(read_recipe_text(model.recipe)).recipe == model.recipe


def test_text_and_digest() -> None:
    recipe = read_recipe_text(EXAMPLE)
    again = read_recipe_text(recipe.text())
    assert again == recipe
    assert again.text() == recipe.text()
    assert recipe.digest == hashlib.sha256(recipe.text().encode()).hexdigest()
    assert recipe.data["vars"] == {"hidden": 8, "steps": 16}
    assert recipe.resolved["flow"][0]["steps"][2]["repeat"] == 16
    other = read_recipe(recipe, ["vars.hidden=4"])
    assert other != recipe
    assert other.digest != recipe.digest


@pytest.mark.usefixtures("toys")
def test_repeat_and_between_in_their_order() -> None:
    steps = [
        "squeeze",
        {"repeat": 3, "steps": ["actnorm", {"repeat": 0, "steps": ["split"]}], "between": ["conv1x1"]},
    ]
    recipe = read_recipe(flow(*steps))
    names = [part.name for part in recipe.layers]
    assert names == ["squeeze", "actnorm", "conv1x1", "actnorm", "conv1x1", "actnorm"]
    assert count(recipe.plan.flow) == len(unroll(recipe.plan.flow)) == len(names)


@pytest.mark.usefixtures("toys")
def test_an_empty_repeat_of_any_number_is_no_work() -> None:
    nothing: Any = {"repeat": 0, "steps": ["squeeze"]}
    for _ in range(20):
        nothing = {"repeat": 10_000, "steps": [nothing]}
    assert [part.name for part in read_recipe(flow(nothing, "squeeze")).layers] == ["squeeze"]


@pytest.mark.usefixtures("toys")
def test_options_arrive_as_annotated_and_are_not_shared() -> None:
    toy = {"type": "toy", "need": 1, "rate": 3, "sizes": [4, 5], "limit": None, "names": ["a"]}
    first, second = build(flow({"repeat": 2, "steps": [toy]})).layers
    assert first.options == {"need": 1, "rate": 3.0, "limit": None, "sizes": (4, 5), "pair": (1, 2)}
    assert isinstance(first.options["rate"], float)
    assert first.names == second.names == ["a"]
    assert first.names is not second.names


@pytest.mark.usefixtures("toys")
def test_a_variable_may_be_a_list_a_step_or_a_name() -> None:
    variables = {"sizes": [4], "step": {"type": "toy", "need": 2}, "type": "toy"}
    steps = [{"type": "$type", "need": 1, "sizes": "$sizes"}, "$step"]
    layers = build(flow(*steps, vars=variables)).layers
    assert [layer.options["sizes"] for layer in layers] == [(4,), (1,)]


@pytest.mark.usefixtures("toys")
def test_context_comes_from_the_grid_of_the_layer() -> None:
    model = build(flow("affine_injector", "squeeze", "affine_injector", encoder={"type": "flat", "width": 6}))
    assert [layer.context for layer in model.layers] == [Shape(6, 1), None, Shape(6, 2)]


@pytest.mark.usefixtures("toys")
def test_a_layer_of_ones_own() -> None:
    @register("mine")
    class Mine(FlowLayer):
        def __init__(self, shape: Shape, context: Shape, *, mode: Literal["a", "b"] = "a") -> None:
            super().__init__(shape, context)
            self.mode = mode

    layer = build(flow({"type": "mine", "mode": "b"})).layers[0]
    assert (layer.mode, layer.shape, layer.context) == ("b", Shape(3, 1), Shape(4, 1))


@pytest.mark.usefixtures("toys")
def test_the_cause_of_a_refusal_is_kept_for_those_who_debug_it() -> None:
    with pytest.raises(RecipeError) as error:
        build(flow({"type": "toy", "need": 13}))
    assert isinstance(error.value.__cause__, ValueError)


@pytest.mark.usefixtures("toys")
def test_a_former_name_warns_and_works() -> None:
    register("tweak", was=("twaek",))(type("Tweak", (FlowLayer,), {"__init__": FlowLayer.__init__}))
    with pytest.warns(FutureWarning, match='layer "twaek" is now called "tweak"'):
        assert len(build(flow("twaek")).layers) == 1


def test_train_options_check_themselves() -> None:
    with pytest.raises(RecipeError) as error:
        TrainOptions(steps=0, ema=1.0)
    assert str(error.value) == (
        'option "steps" of train must be 1 or more, got 0\n'
        'option "ema" of train must be 0 or more, and less than 1, got 1.0'
    )


def test_build_is_the_public_one() -> None:
    assert flowkit.build is build


SMALL = {
    "rrdb": ["encoder.blocks=2", "encoder.stack=[0, 1]", "encoder.features=8", "encoder.growth=4"],
    "unet": ["encoder.widths=[4, 8]"],
    "stacked": ["encoder.first.widths=[4, 8]", "encoder.second.widths=[4, 4, 4, 4, 4]"],
}


@pytest.mark.parametrize("name", flowkit.recipe.shipped())
def test_shipped(name: str) -> None:
    recipe = read_recipe(name)
    assert read_recipe_text(recipe.text()) == recipe
    assert recipe.about
    assert len(recipe.text().splitlines()) <= 50
    fewer = [
        f"vars.{name}={value}" for name, value in (("steps", 1), ("hidden", 4)) if name in recipe.data["vars"]
    ]
    small = read_recipe(name, [*SMALL[recipe.plan.encoder.name], *fewer])
    model = build(small)
    assert len(model.layers) == len(small.layers)
    assert len(small.layers) < len(recipe.layers) or "steps" not in recipe.data["vars"]
    patch = recipe.train.patch
    assert patch % (model.scale * model.multiple) == 0, "the patches of `train` must fit the flow"


def test_shipped_files_are_short() -> None:
    from flowkit.recipe.find import _folder

    files = list(_folder().glob("*.yaml"))
    assert files
    for file in files:
        assert len(file.read_text().splitlines()) <= 40, file


def test_a_flow_has_as_many_temperatures_as_latents() -> None:
    levels = {"repeat": 2, "steps": ["squeeze", "actnorm"], "between": ["split"]}
    recipe = {"version": 1, "encoder": {"type": "none"}, "flow": [levels], "temperatures": [0, 1.5]}
    assert build(recipe).temperatures == (0.0, 1.5)
    assert build({**recipe, "temperatures": None}).temperatures == (1.0, 1.0)
    with pytest.raises(RecipeError, match="temperatures: the flow has 2 latents, got 3"):
        build({**recipe, "temperatures": [0, 1, 1]})
