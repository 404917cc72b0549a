"""Recipe -> model: each class gets its options from the recipe, its shapes from the walk through the flow."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flowkit import registry
from flowkit.encoders import Encoder
from flowkit.errors import FlowkitError, RecipeError
from flowkit.flow import ConditionalFlow
from flowkit.layers import FlowLayer, Shape
from flowkit.recipe.expand import Part
from flowkit.recipe.find import Source
from flowkit.recipe.overrides import Overrides
from flowkit.recipe.reading import Recipe, read_recipe

T = TypeVar("T")

# What constructors raise on options of the right type and the wrong value: torch's own are of all sorts.
_REFUSALS = (FlowkitError, ValueError, TypeError, RuntimeError, ArithmeticError, AssertionError)


def build(source: Source | Recipe, *, overrides: Overrides | None = None) -> ConditionalFlow:
    """The model of a recipe, its weights not trained.

    Args:
        source: a file, the name of a shipped recipe, a mapping, or a recipe that was read before.
        overrides: `["vars.steps=8"]` or `{"vars.steps": 8}`.

    Raises:
        RecipeError: the recipe is wrong, or a part refuses its options or its input's shape.
    """
    recipe = read_recipe(source, overrides)
    plan = recipe.plan
    target = _make(recipe, plan.target)
    encoder = _make(recipe, plan.encoder)
    shape = Shape(target.channels, 1)
    layers: list[FlowLayer] = []
    for part in recipe.layers:
        layer = _layer(recipe, part, shape, encoder)
        layers.append(layer)
        shape = layer.out_shape
    assemble = functools.partial(ConditionalFlow, encoder, layers, target, recipe=recipe.text())
    return _attempt(assemble, "the flow", recipe, ("flow",))


def _layer(recipe: Recipe, part: Part, shape: Shape, encoder: Encoder) -> FlowLayer:
    label = f'layer "{part.name}" on input {shape}'
    shapes = [shape]
    if "context" in registry.positional(part.entry):
        provide = functools.partial(encoder.provide, shape.stride)
        shapes.append(_attempt(provide, f"features for {label}", recipe, part.path))
    inner = {k: _layer(recipe, v, shape, encoder) for k, v in part.options.items() if isinstance(v, Part)}
    layer: FlowLayer = _make(recipe, part, *shapes, label=label, inner=inner)
    return layer


def _make(
    recipe: Recipe, part: Part, *shapes: Shape, label: str = "", inner: Mapping[str, FlowLayer] | None = None
) -> Any:
    options = copy.deepcopy(dict(part.options))  # repetitions share a part; they must not share a list
    make = functools.partial(part.entry, *shapes, **(options | dict(inner or {})))
    return _attempt(make, label or f'{part.kind} "{part.name}"', recipe, part.path)


def _attempt(action: Callable[[], T], label: str, recipe: Recipe, path: tuple[str | int, ...]) -> T:
    try:
        return action()
    except _REFUSALS as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise RecipeError(f"{label}: {why}\n  {recipe.document.place(path)}") from error
