"""Parts are read alike wherever they are written: in recipes, data files and lists of degradations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from flowkit.data import Task, training_set
from flowkit.data.sources import Source
from flowkit.degradations import Compose, Degradation, degradations_from
from flowkit.errors import DataError, RecipeError
from flowkit.layers import FlowLayer, Shape
from flowkit.recipe import build, read_recipe
from flowkit.registry import register

INK = Task(binary=True)


@pytest.fixture
def both() -> None:
    @register("both")
    class Both(FlowLayer):
        """Layers of one shape, one after the other."""

        def __init__(
            self, shape: Shape, context: Shape, *, layers: Sequence[FlowLayer], last: FlowLayer | None = None
        ) -> None:
            super().__init__(shape, context)
            self.layers = torch.nn.ModuleList(layers)
            self.last = last


def recipe(step: object) -> dict[str, object]:
    return {"version": 1, "encoder": {"type": "unet", "widths": [4]}, "flow": ["squeeze", step]}


@pytest.mark.usefixtures("both")
def test_a_layer_may_hold_others_in_lists_and_optionally() -> None:
    inner = ["actnorm", {"type": "affine_coupling", "hidden": 3}]
    _, layer = build(
        recipe({"type": "both", "layers": inner, "last": {"type": "inverse", "layer": "actnorm"}})
    ).layers
    assert [type(part).__name__ for part in layer.layers] == ["ActNorm", "AffineCoupling"]
    assert {part.shape for part in layer.layers} == {Shape(12, 2)}
    assert type(layer.last.layer).__name__ == "ActNorm"
    assert build(recipe({"type": "both", "layers": [], "last": None})).layers[1].last is None


@pytest.mark.usefixtures("both")
def test_problems_of_parts_within_parts_have_their_places() -> None:
    inner = ["actnrom", {"type": "affine_coupling", "hiden": 3}, 7]
    with pytest.raises(RecipeError) as error:
        read_recipe(recipe({"type": "both", "layers": inner, "last": "squeze"}))
    assert str(error.value) == (
        'unknown layer "actnrom"; did you mean "actnorm"?\n  at <dict>: flow[1].layers[0]\n'
        'layer "affine_coupling" has no option "hiden"; did you mean "hidden"?\n'
        "  at <dict>: flow[1].layers[1].hiden\n"
        'a step must be a layer\'s name or a mapping with "type", got 7\n  at <dict>: flow[1].layers[2]\n'
        'unknown layer "squeze"; did you mean "squeeze"?\n  at <dict>: flow[1].last'
    )
    with pytest.raises(RecipeError, match="\"layers\" must be a list of layers, got 'actnorm'"):
        read_recipe(recipe({"type": "both", "layers": "actnorm"}))


def test_degradations_in_a_data_file_are_read_with_it(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(
        "- type: drawn\n"
        "  degradations:\n"
        "    - grey\n"
        "    - {type: one_of, of: [jepg]}\n"
        "    - {type: jpeg, qualty: [1, 2]}\n"
        "- {type: drawn, degradations: 3, wieght: 2}\n"
        "- {type: drawn, degradations: [{type: jpeg, quality: [50, 101]}]}\n"
    )
    with pytest.raises(DataError) as error:
        training_set([file], task=INK, patch=16, seed=0, length=1)
    text = str(error.value).replace(str(file), "data.yaml")
    for words in (
        'unknown degradation "jepg"; did you mean "jpeg"?\n  at data.yaml:4: [0].degradations[1].of[0]',
        'degradation "jpeg" has no option "qualty"; did you mean "quality"?\n'
        "  at data.yaml:5: [0].degradations[2].qualty",
        'option "degradations" of source "drawn" must be str | list[degradation], got 3\n'
        "  at data.yaml:6: [1].degradations",
        'source "drawn" has no option "wieght"; did you mean "weight"?\n  at data.yaml:6: [1].wieght',
        "quality must be within 1 to 100, got [50.0, 101.0]\n  at data.yaml:7: [2].degradations[0]",
    ):
        assert words in text, text


def test_drawn_pages_are_degraded_as_the_list_says() -> None:
    pages = [
        training_set(
            [{"type": "drawn", "pages": 1, "width": 40, "height": 40, "degradations": steps}],
            task=INK,
            patch=32,
            seed=0,
            length=4,
        )[0][0]
        for steps in ((), ["grey", {"type": "gamma", "gamma": (2, 2)}])
    ]
    assert not torch.equal(*pages)
    assert pages[1].mean() < pages[0].mean()


def test_a_source_and_a_degradation_of_ones_own_may_hold_parts() -> None:
    @register("before_all")
    @dataclass(frozen=True, kw_only=True)
    class Before(Degradation):
        first: Degradation
        rest: Sequence[Degradation] | None = None

    made = degradations_from([{"type": "before_all", "first": "grey"}])
    assert isinstance(made, Compose)
    assert type(made.steps[0].first).__name__ == "Grey"
    with pytest.raises(RecipeError, match=r'degradation "before_all" needs option "first" \(degradation\)'):
        degradations_from(["before_all"])
    with pytest.raises(RecipeError, match=r"must be list\[degradation\] \| None, got 1\n.*\[0\].rest"):
        degradations_from([{"type": "before_all", "first": "grey", "rest": 1}])

    @register("worn")
    class Worn(Source):
        def __init__(self, task: Task, base: Path, *, by: Degradation) -> None:
            super().__init__(task, base)
            self.by = by

        def find(self):
            raise DataError(f"worn by {type(self.by).__name__}")

    with pytest.raises(DataError, match="worn by Jpeg"):
        training_set([{"type": "worn", "by": "jpeg"}], task=INK, patch=16, seed=0, length=1)


def test_nested_inverses_are_built_in_time_that_grows_with_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = [0]
    train = torch.nn.Module.train

    def counted(self: torch.nn.Module, mode: bool = True) -> torch.nn.Module:
        calls[0] += 1
        return train(self, mode)

    monkeypatch.setattr(torch.nn.Module, "train", counted)
    step: object = "actnorm"
    for _ in range(24):
        step = {"type": "inverse", "layer": step}
    build(recipe(step)).eval()
    assert calls[0] < 500
