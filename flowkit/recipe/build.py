"""Models built from recipes: options come from the recipe, shapes from the walk through the flow."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from flowkit import registry
from flowkit.encoders import Encoder
from flowkit.errors import FlowkitError, RecipeError, ShapeError
from flowkit.flow import ConditionalFlow
from flowkit.layers import FlowLayer, Shape
from flowkit.recipe.find import RecipeSource
from flowkit.recipe.overrides import Overrides
from flowkit.recipe.parts import Part
from flowkit.recipe.recipe import Recipe, read_recipe

T = TypeVar("T")

MAX_PARAMETERS = 300_000_000
MAX_CHANNELS = 1024  # whose 1x1 convolution starts as a rotation, the work of channels cubed
MAX_MODULES = 10_000  # of torch: five times what SRFlow's largest has; a second or two of work

# Errors of constructors on options of the right type and the wrong value; torch raises all of these.
_REFUSALS = (FlowkitError, ValueError, TypeError, RuntimeError, ArithmeticError, AssertionError)


def build(
    source: RecipeSource | Recipe, *, overrides: Overrides | None = None, extends_anywhere: bool = False
) -> ConditionalFlow:
    """Build the model of a recipe, its weights not trained.

    Args:
        source: a file, the name of a shipped recipe, a mapping, or a recipe that was read before.
        overrides: `["vars.steps=8"]` or `{"vars.steps": 8}`.
        extends_anywhere: as for `read_recipe`.

    Raises:
        RecipeError: the recipe is wrong, or a part refuses its options or its input's shape.
    """
    recipe = read_recipe(source, overrides, extends_anywhere=extends_anywhere)
    with _bounded():
        return _assemble(recipe)


def _assemble(recipe: Recipe) -> ConditionalFlow:
    plan = recipe.plan
    target, encoder = (_made(recipe, part) for part in (plan.target, plan.encoder))
    shape = Shape(target.channels, 1)
    layers: list[FlowLayer] = []
    for part in recipe.layers:
        layer = _layer(recipe, part, shape, encoder)
        layers.append(layer)
        shape = layer.out_shape
    assemble = functools.partial(
        ConditionalFlow, encoder, layers, target, recipe=recipe.text(), temperatures=plan.temperatures
    )
    return _attempt(assemble, "the flow", recipe, ("flow",))


def _made(recipe: Recipe, part: Part) -> Any:
    """Make a target or an encoder."""
    return _make(recipe, part, _options(part, functools.partial(_made, recipe)))


def _options(part: Part, make: Callable[[Part], Any]) -> dict[str, Any]:
    """Return a part's options, the parts among them made."""

    def option(value: Any) -> Any:
        if isinstance(value, Part):
            return make(value)
        return tuple(map(option, value)) if isinstance(value, tuple) else value

    return {name: option(value) for name, value in part.options.items()}


def _layer(recipe: Recipe, part: Part, shape: Shape, encoder: Encoder) -> FlowLayer:
    label = f'layer "{part.name}" on input {shape}'
    _attempt(functools.partial(_check_channels, shape), label, recipe, part.path)
    shapes = [shape]
    if "context" in registry.positional(part.entry):
        provide = functools.partial(_provided, encoder, shape.stride)
        shapes.append(_attempt(provide, f"features for {label}", recipe, part.path))
    options = _options(part, lambda inner: _layer(recipe, inner, shape, encoder))
    layer: FlowLayer = _make(recipe, part, options, *shapes, label=label)
    return layer


def _provided(encoder: Encoder, stride: int) -> Shape:
    """Let the encoder promise features; an encoder of a user's may return anything."""
    found: object = encoder.provide(stride)
    if not isinstance(found, Shape):
        raise ShapeError(f"{type(encoder).__name__}.provide({stride}) returned {found!r}, expected a Shape")
    return found


def _make(recipe: Recipe, part: Part, options: Mapping[str, Any], *shapes: Shape, label: str = "") -> Any:
    # Repetitions share a part; they must not share a list.
    own = {
        key: copy.deepcopy(value) if isinstance(value, list | dict) else value
        for key, value in options.items()
    }
    make = functools.partial(part.entry, *shapes, **own)
    return _attempt(make, label or f'{part.kind} "{part.name}"', recipe, part.path)


def _check_channels(shape: Shape) -> None:
    if shape.channels > MAX_CHANNELS:
        raise ShapeError(f"{shape.channels:,} channels; a flow has {MAX_CHANNELS:,} at most")


@contextmanager
def _bounded() -> Iterator[None]:
    """Stop making modules once they are more than any model's, or larger: a typing error, or a trap."""
    parameters = modules = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal parameters
        parameters += 0 if parameter is None else parameter.numel()
        if parameters > MAX_PARAMETERS:
            raise ShapeError(f"the model has more than {MAX_PARAMETERS:,} parameters")

    def count_modules(module: nn.Module, name: str, part: nn.Module | None) -> None:
        nonlocal modules
        modules += part is not None
        if modules > MAX_MODULES:
            raise ShapeError(f"the model has more than {MAX_MODULES:,} modules")

    handles = [
        register_module_parameter_registration_hook(count),
        register_module_module_registration_hook(count_modules),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _attempt(action: Callable[[], T], label: str, recipe: Recipe, path: tuple[str | int, ...]) -> T:
    try:
        return action()
    except _REFUSALS as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise RecipeError(f"{label}: {why}\n  {recipe.document.place(path)}") from error
