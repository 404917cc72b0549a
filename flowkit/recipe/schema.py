"""The schema of recipes: sections checked, variables put in, repeats unrolled; nothing is built."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowkit.errors import suggest
from flowkit.recipe.document import MAX_VALUES, Document, KeyPath, Problems, short
from flowkit.recipe.parts import Part, Report, read_options, read_part
from flowkit.recipe.train import TrainOptions, check_range

VERSION = 1
KEYS = ("version", "name", "about", "requires", "vars", "target", "encoder", "flow", "temperatures", "train")
DEFAULT_TYPES = {"target": "continuous"}
REPEAT_KEYS = ("repeat", "steps", "between")
MAX_LAYERS = 10_000
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Repeat:
    """`steps`, `count` times, with `between` after each time but the last."""

    count: int
    steps: tuple[Step, ...]
    between: tuple[Step, ...]


Step = Part | Repeat


@dataclass(frozen=True)
class RecipePlan:
    """A checked recipe: what to build, and how to train it."""

    target: Part
    encoder: Part
    flow: tuple[Step, ...]
    temperatures: tuple[float, ...] | None
    train: TrainOptions


def check(document: Document, problems: Problems) -> tuple[RecipePlan, dict[str, Any]]:
    """Check a document; return its plan, and its data with the variables put in.

    Raises:
        RecipeError: all that is wrong with it, and what `problems` held before.
    """
    return _Checker(document, problems).check()


class _Checker:
    def __init__(self, document: Document, problems: Problems) -> None:
        self.document = document
        self.problems = problems
        self._report = problems.reporter(document)

    def check(self) -> tuple[RecipePlan, dict[str, Any]]:
        data = self.document.data
        self._header(data)
        resolved = self._variables(data)
        target, encoder = (self._section(kind, resolved) for kind in ("target", "encoder"))
        flow = self._steps(resolved.get("flow"), ("flow",)) if "flow" in data else ()
        temperatures = self._temperatures(resolved.get("temperatures"))
        train = self._train(resolved.get("train", {}))
        self.problems.check()
        total = count(flow)
        if not 1 <= total <= MAX_LAYERS:
            found = f"{total:,}" if total < 10**9 else f"{total:.0e}"
            self._report(f"a flow has 1 to {MAX_LAYERS:,} layers, got {found}", ("flow",))
        self.problems.check()
        assert target is not None and encoder is not None and train is not None  # or a problem was found
        return RecipePlan(target, encoder, flow, temperatures, train), resolved

    def _header(self, data: dict[str, Any]) -> None:
        version = data.get("version")
        if "version" not in data:
            self._report(f'a recipe needs "version: {VERSION}"', ("version",))
        elif type(version) is not int or version != VERSION:
            self._report(
                f"recipe version {short(version)} is not known; this flowkit reads version {VERSION}",
                ("version",),
            )
            self.problems.check()  # another version has other rules
        for key in data:
            if key not in KEYS:
                self._report(f'a recipe has no key "{key}"; {suggest(key, (*KEYS, "extends"))}', (key,))
        for key in ("encoder", "flow"):
            if key not in data:
                self._report(f'a recipe needs "{key}"', (key,))
        for key in ("name", "about"):
            if not isinstance(data.get(key, ""), str):
                self._report(f'"{key}" must be text, got {short(data[key])}', (key,))
        self._requires(data.get("requires", []))

    def _requires(self, modules: Any) -> None:
        if not isinstance(modules, list) or not all(isinstance(name, str) for name in modules):
            self._report(f'"requires" must be a list of module names, got {short(modules)}', ("requires",))
            return
        missing = [(index, name) for index, name in enumerate(modules) if name not in sys.modules]
        for index, name in missing:
            message = f'recipe needs "{name}"; pass --import {name} to trust and load it'
            self._report(message, ("requires", index))
        if missing:
            self.problems.check()  # the layers that the module would bring are unknown for no other reason

    def _variables(self, data: dict[str, Any]) -> dict[str, Any]:
        known = data.get("vars", {})
        if not isinstance(known, dict):
            self._report(f'"vars" must be a mapping of names to values, got {short(known)}', ("vars",))
            self.problems.check()  # or every use of a variable would be reported too
        for name, value in known.items():
            if not NAME.fullmatch(name):
                self._report(f'variable name "{name}" must be letters, digits and _', ("vars", name))
            if _mentions_variable(value):
                self._report(f'variable "{name}" must not refer to a variable', ("vars", name))
        free = ("version", "name", "about", "requires", "vars")
        sizes = {f"${name}": _size(value, {}) for name, value in known.items()}
        size = _size({key: value for key, value in data.items() if key not in free}, sizes)
        if size > MAX_VALUES:
            self._report(f"with its variables put in, it has {size:,} values, {MAX_VALUES:,} at most", ())
            self.problems.check()  # reading them is the work that is refused
        return {
            key: value if key in free else substitute(value, known, (key,), self._report)
            for key, value in data.items()
        }

    def _section(self, kind: str, resolved: dict[str, Any]) -> Part | None:
        default = DEFAULT_TYPES.get(kind)
        if kind not in resolved and not default:
            return None  # reported already
        return read_part(kind, resolved.get(kind, {}), (kind,), self._report, default=default)

    def _temperatures(self, given: Any) -> tuple[float, ...] | None:
        if given is None:
            return None
        items = given if isinstance(given, list) else [given]
        right = (isinstance(item, int | float) and 0 <= item < math.inf for item in items)
        if not isinstance(given, list) or not all(right):
            found = f'"temperatures" must be a list of numbers of 0 or more, got {short(given)}'
            self._report(found, ("temperatures",))
            return None
        return tuple(map(float, items))

    def _train(self, section: Any) -> TrainOptions | None:
        if not isinstance(section, dict):
            self._report(f'"train" must be a mapping of options, got {short(section)}', ("train",))
            return None
        values = read_options(TrainOptions, "train", section, ("train",), self._report)
        for name, value in list(values.items()):
            if message := check_range(name, value):
                self._report(message, ("train", name))
                del values[name]
        return TrainOptions(**values)

    def _steps(self, steps: Any, path: KeyPath) -> tuple[Step, ...]:
        if not isinstance(steps, list) or not steps:
            self._report(f'"{path[-1]}" must be a list of steps, got {short(steps)}', path)
            return ()
        checked = [self._step(step, (*path, index)) for index, step in enumerate(steps)]
        return tuple(step for step in checked if step is not None)

    def _step(self, step: Any, path: KeyPath) -> Step | None:
        if isinstance(step, dict) and "repeat" in step:
            return self._repeat(step, path)
        if isinstance(step, dict) and "type" not in step:
            self._report('a step needs "type" (a layer), or "repeat" and "steps"', path)
            return None
        return read_part("layer", step, path, self._report)

    def _repeat(self, step: dict[str, Any], path: KeyPath) -> Repeat | None:
        for key in step:
            if key not in REPEAT_KEYS:
                self._report(f'a repeat has no key "{key}"; {suggest(key, REPEAT_KEYS)}', (*path, key))
        times = step["repeat"]
        if type(times) is not int or not 0 <= times <= MAX_LAYERS:
            message = f'"repeat" must be a whole number from 0 to {MAX_LAYERS:,}, got {short(times)}'
            self._report(message, (*path, "repeat"))
            times = 0
        if "steps" not in step:
            self._report('a repeat needs "steps"', (*path, "steps"))
            return None
        steps = self._steps(step["steps"], (*path, "steps"))
        between = self._steps(step["between"], (*path, "between")) if "between" in step else ()
        return Repeat(times, steps, between)


def _size(value: Any, sizes: Mapping[str, int]) -> int:
    """Count the values in a value, a variable as those that it stands for."""
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return 1 + sum(_size(item, sizes) for item in items)
    return sizes.get(value, 1) if isinstance(value, str) else 1


def _mentions_variable(value: Any) -> bool:
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return any(map(_mentions_variable, items))
    return isinstance(value, str) and value.startswith("$")


def count(steps: Sequence[Step]) -> int:
    """Count the layers that `unroll` would give, without making them."""
    total = 0
    for step in steps:
        if isinstance(step, Part):
            total += 1
        elif step.count:
            total += step.count * count(step.steps) + (step.count - 1) * count(step.between)
    return total


def unroll(steps: Sequence[Step]) -> list[Part]:
    """List the layers in their order. Repetitions share one Part, and so one path."""
    parts: list[Part] = []
    for step in steps:
        if isinstance(step, Part):
            parts.append(step)
        elif step.count:
            body, between = unroll(step.steps), unroll(step.between)
            parts += (body + between) * (step.count - 1) + body
    return parts


def substitute(value: Any, known: Mapping[str, Any], path: KeyPath, report: Report) -> Any:
    """Copy `value` with every `$name` replaced; what is not known is reported and left as it is."""
    if isinstance(value, dict):
        return {key: substitute(item, known, (*path, key), report) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, known, (*path, index), report) for index, item in enumerate(value)]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    name = value[1:]
    if name in known:
        return known[name]
    if NAME.fullmatch(name):
        report(f"unknown variable {value}; {suggest(name, known)}", path)
    else:
        report(f'"{value}" is not a variable: only a whole value, $name, can be one', path)
    return value
