"""What a recipe may hold: each section checked, all problems collected, nothing built."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowkit import registry
from flowkit.errors import RegistryError, suggest
from flowkit.layers import FlowLayer
from flowkit.recipe.document import Document, Path, Problems, short
from flowkit.recipe.expand import MAX_LAYERS, NAME, Part, Repeat, Step, count, substitute
from flowkit.recipe.options import convert, type_name
from flowkit.recipe.train import TrainOptions, check_range

VERSION = 1
KEYS = ("version", "name", "about", "requires", "vars", "target", "encoder", "flow", "train")
DEFAULT_TYPES = {"target": "continuous"}
REPEAT_KEYS = ("repeat", "steps", "between")


@dataclass(frozen=True)
class Plan:
    """A checked recipe: what to build, and how to train it."""

    target: Part
    encoder: Part
    flow: tuple[Step, ...]
    train: TrainOptions


def check(document: Document, problems: Problems) -> tuple[Plan, dict[str, Any]]:
    """The plan of a document, and its data with the variables put in.

    Raises:
        RecipeError: all that is wrong with it, and what `problems` held before.
    """
    return _Checker(document, problems).check()


class _Checker:
    def __init__(self, document: Document, problems: Problems) -> None:
        self.document = document
        self.problems = problems

    def check(self) -> tuple[Plan, dict[str, Any]]:
        data = self.document.data
        self._header(data)
        resolved = self._variables(data)
        target = self._part("target", resolved.get("target", {}), ("target",))
        encoder = self._part("encoder", resolved.get("encoder"), ("encoder",)) if "encoder" in data else None
        flow = self._steps(resolved.get("flow"), ("flow",)) if "flow" in data else ()
        train = self._train(resolved.get("train", {}))
        self.problems.check()
        total = count(flow)
        if not 1 <= total <= MAX_LAYERS:
            found = f"{total:,}" if total < 10**9 else f"{total:.0e}"
            self._report(f"a flow has 1 to {MAX_LAYERS:,} layers, got {found}", ("flow",))
        self.problems.check()
        assert target is not None and encoder is not None and train is not None  # or a problem was found
        return Plan(target, encoder, flow, train), resolved

    def _report(self, message: str, path: Path) -> None:
        self.problems.add(message, path, self.document.place(path))

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
        return {
            key: value if key in free else substitute(value, known, (key,), self._report)
            for key, value in data.items()
        }

    def _train(self, section: Any) -> TrainOptions | None:
        if not isinstance(section, dict):
            self._report(f'"train" must be a mapping of options, got {short(section)}', ("train",))
            return None
        values = self._options(TrainOptions, "train", section, ("train",))
        for name, value in list(values.items()):
            if message := check_range(name, value):
                self._report(message, ("train", name))
                del values[name]
        return TrainOptions(**values)

    def _steps(self, steps: Any, path: Path) -> tuple[Step, ...]:
        if not isinstance(steps, list) or not steps:
            self._report(f'"{path[-1]}" must be a list of steps, got {short(steps)}', path)
            return ()
        checked = [self._step(step, (*path, index)) for index, step in enumerate(steps)]
        return tuple(step for step in checked if step is not None)

    def _step(self, step: Any, path: Path) -> Step | None:
        if isinstance(step, dict) and "repeat" in step:
            return self._repeat(step, path)
        if isinstance(step, dict) and "type" not in step:
            self._report('a step needs "type" (a layer), or "repeat" and "steps"', path)
            return None
        return self._part("layer", step, path)

    def _repeat(self, step: dict[str, Any], path: Path) -> Repeat | None:
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

    def _part(self, kind: str, section: Any, path: Path) -> Part | None:
        if isinstance(section, str) and kind == "layer":
            section, type_path = {"type": section}, path
        else:
            type_path = (*path, "type")
        if not isinstance(section, dict):
            who = "a step must be a layer's name or" if kind == "layer" else f'"{kind}" must be'
            self._report(f'{who} a mapping with "type", got {short(section)}', path)
            return None
        name = section.get("type", DEFAULT_TYPES.get(kind))
        if not isinstance(name, str):
            found = f'"type" must be the name of a {kind}, got {short(name)}'
            self._report(found if "type" in section else f'"{kind}" needs "type"', type_path)
            return None
        try:
            entry = registry.get(kind, name)
        except RegistryError as error:
            self._report(str(error), type_path)
            return None
        given = {key: value for key, value in section.items() if key != "type"}
        return Part(kind, name, entry, self._options(entry, f'{kind} "{name}"', given, path), path)

    def _options(self, entry: Any, owner: str, given: Mapping[str, Any], path: Path) -> dict[str, Any]:
        known = registry.options(entry)
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known:
                self._report(f'{owner} has no option "{name}"; {suggest(name, known)}', (*path, name))
                continue
            if known[name].annotation is FlowLayer:  # a layer inside a layer: written as a step
                part = self._part("layer", value, (*path, name))
                values.update({name: part} if part else {})
                continue
            try:
                values[name] = convert(value, known[name].annotation)
            except ValueError as error:
                self._report(f'option "{name}" of {owner} {error}', (*path, name))
        for name, option in known.items():
            if option.required and name not in given:
                self._report(f'{owner} needs option "{name}" ({type_name(option.annotation)})', (*path, name))
        return values


def _mentions_variable(value: Any) -> bool:
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return any(map(_mentions_variable, items))
    return isinstance(value, str) and value.startswith("$")
