"""Lists of names and options -> degradations: the same little language as a recipe's steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path as FilePath
from typing import Any

from flowkit import registry
from flowkit.degradations.base import Compose, Degradation, Scene
from flowkit.degradations.presets import PRESETS
from flowkit.degradations.texture import Array
from flowkit.errors import DataError, FlowkitError, RegistryError, suggest
from flowkit.recipe.document import Document, Path, Problems, from_dict, short
from flowkit.recipe.options import convert, type_name
from flowkit.recipe.source import read_file
from flowkit.registry import register

KEY = "degradations"
Steps = Sequence["str | Mapping[str, Any]"]


@register("one_of")
@dataclass(frozen=True, kw_only=True)
class OneOf(Degradation):
    """One of several degradations, all equally likely; a name that is given twice is twice as likely."""

    of: tuple[Degradation, ...]

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        if not self.of:
            raise DataError("OneOf: of must name at least one degradation")

    def notes(self) -> list[str]:
        """List the notes of all of them."""
        return [note for degradation in self.of for note in degradation.notes()]

    def apply(self, image: Array, scene: Scene) -> Array:
        """The one that was drawn, with its own probability."""
        chosen = self.of[int(scene.rng.integers(len(self.of)))]
        return chosen(image, scene.rng, ink=scene.ink, other=scene.other, paper=scene.paper)


def degradations_from(spec: str | Steps) -> Compose:
    """The degradations of a preset's name or of a list of steps, to be applied in its order.

    A step is a name, or a mapping with `type` and options: `["jpeg", {"type": "stain", "count": [0, 4],
    "probability": 0.5}]`. `flowkit layers --kind degradation` lists names and options.

    Raises:
        RecipeError: all that is wrong with the list: unknown names and options, values of another type or
            out of their limits, each with its place.
        DataError: no preset has that name.

    >>> worse = degradations_from(["grey", {"type": "jpeg", "quality": [20, 40]}])
    >>> [type(step).__name__ for step in worse.steps]
    ['Grey', 'Jpeg']
    """
    if isinstance(spec, str):
        if spec not in PRESETS:
            raise DataError(f'unknown preset "{spec}"; {suggest(spec, PRESETS)}')
        spec = PRESETS[spec]
    return _read(from_dict({KEY: spec}))


def degradations_file(path: str | PathLike[str]) -> Compose:
    """The degradations of a YAML file with one key, `degradations`, that holds a list of steps.

    Raises:
        RecipeError: the file cannot be read, or as `degradations_from`; messages have line numbers.
    """
    return _read(read_file(FilePath(path)))


def _read(document: Document) -> Compose:
    reader = _Reader(document)
    for key in document.data:
        if key != KEY:
            reader.report(f'a list of degradations has no key "{key}"; {suggest(key, (KEY,))}', (key,))
    steps = reader.steps(document.data.get(KEY), (KEY,))
    reader.problems.check()
    return Compose(steps)


class _Reader:
    """Turns steps into degradations; collects what is wrong."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems = Problems()

    def report(self, message: str, path: Path) -> None:
        self.problems.add(message, path, self.document.place(path))

    def steps(self, steps: Any, path: Path) -> tuple[Degradation, ...]:
        if not isinstance(steps, list):
            self.report(f'"{path[-1]}" must be a list of degradations, got {short(steps)}', path)
            return ()
        made = [self._step(step, (*path, index)) for index, step in enumerate(steps)]
        return tuple(step for step in made if step is not None)

    def _step(self, step: Any, path: Path) -> Degradation | None:
        written = {"type": step} if isinstance(step, str) else step
        if not isinstance(written, dict) or not isinstance(written.get("type"), str):
            self.report(f'expected a degradation\'s name or a mapping with "type", got {short(step)}', path)
            return None
        name = written["type"]
        try:
            entry = registry.get("degradation", name)
        except RegistryError as error:
            self.report(str(error), path if isinstance(step, str) else (*path, "type"))
            return None
        known, values = registry.options(entry), {}
        owner = f'degradation "{name}"'
        good = True
        for key in (key for key in written if key != "type"):
            if key not in known:
                self.report(f'{owner} has no option "{key}"; {suggest(key, known)}', (*path, key))
                good = False
            elif known[key].annotation == tuple[Degradation, ...]:
                values[key] = self.steps(written[key], (*path, key))
                good &= isinstance(written[key], list) and len(values[key]) == len(written[key])
            else:
                try:
                    values[key] = convert(written[key], known[key].annotation)
                except ValueError as error:
                    self.report(f'option "{key}" of {owner} {error}', (*path, key))
                    good = False
        for key, option in known.items():
            if option.required and key not in written:
                needed = type_name(option.annotation)
                self.report(f'{owner} needs option "{key}" ({needed})', (*path, key))
                good = False
        return self._made(entry, values, path) if good else None

    def _made(self, entry: Any, values: dict[str, Any], path: Path) -> Degradation | None:
        try:
            made: Degradation = entry(**values)
        except FlowkitError as error:
            self.report(str(error), path)
            return None
        return made
