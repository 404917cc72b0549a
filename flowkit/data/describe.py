"""What a caller says about training data -> sources: folders, data files (YAML), or mappings."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowkit import registry
from flowkit.data.sources import Source
from flowkit.data.tasks import Task
from flowkit.errors import DataError, RecipeError, RegistryError, suggest
from flowkit.recipe.document import Path as Keys
from flowkit.recipe.document import short
from flowkit.recipe.options import convert, type_name
from flowkit.recipe.source import read_values

Given = str | os.PathLike[str] | Mapping[str, Any]
KEYS = ("sources", "validation", "cache")

Report = Callable[[str, Keys], None]


@dataclass(frozen=True)
class Weighted:
    """A source, what to call it, and its weight among the others."""

    name: str
    source: Source
    weight: float


@dataclass
class Description:
    """All that was said.

    Attributes:
        sources: to train on.
        validation: a share of the pages, sources of others, or None if nothing was said.
        cache: bytes for decoded pages, or None if nothing was said.
        problems: what is wrong, a line or two each.
    """

    sources: list[Weighted]
    validation: float | list[Weighted] | None
    cache: int | None
    problems: list[str]


def describe(given: Sequence[Given], task: Task) -> Description:
    """Read what a caller gives as training data.

    Folders are one source together: `paired` for binary targets, `super_resolution` for others. A file is a
    data file: a list of sources, or a mapping with such a list as `sources`. A mapping is one source.
    """
    found = Description([], None, None, [])
    folders = []
    for item in given:
        if isinstance(item, Mapping):
            add = _reporter(found.problems, lambda keys: "")
            found.sources.extend(_source(item, (), task, Path(), add))
        elif Path(item).is_file() or Path(item).suffix.lower() in (".yaml", ".yml"):
            _file(Path(item), task, found)
        else:
            folders.append(os.fspath(item))
    if folders:
        kind = "paired" if task.binary else "super_resolution"
        source = registry.get("source", kind)(task, Path(), path=folders)
        found.sources.insert(0, Weighted(", ".join(folders), source, float(len(folders))))
    return found


def _file(file: Path, task: Task, found: Description) -> None:
    try:
        data, document = read_values(file)
    except RecipeError as error:
        found.problems.append(str(error))
        return
    report = _reporter(found.problems, lambda keys: f"\n  {document.place(keys)}")
    if isinstance(data, list):
        found.sources.extend(_sources(data, (), task, file.parent, report))
        return
    if not isinstance(data, dict) or "sources" not in data:
        report(f'a data file is a list of sources, or a mapping with "sources", got {short(data)}', ())
        return
    for key in data:
        if key not in KEYS:
            report(f'a data file has no key "{key}"; {suggest(key, KEYS)}', (key,))
    found.sources.extend(_sources(data["sources"], ("sources",), task, file.parent, report))
    if "validation" in data:
        found.validation = _validation(data["validation"], task, file.parent, report)
    if "cache" in data:
        if type(data["cache"]) is int and data["cache"] >= 0:
            found.cache = data["cache"]
        else:
            report(f'"cache" must be a number of bytes, got {short(data["cache"])}', ("cache",))


def _validation(value: Any, task: Task, base: Path, report: Report) -> float | list[Weighted] | None:
    if isinstance(value, list):
        return _sources(value, ("validation",), task, base, report)
    if type(value) in (int, float) and 0 <= value < 1:
        return float(value)
    report(
        f'"validation" must be a share from 0 to 1, or a list of sources, got {short(value)}', ("validation",)
    )
    return None


def _sources(value: Any, keys: Keys, task: Task, base: Path, report: Report) -> list[Weighted]:
    if not isinstance(value, list) or not value:
        report(f"expected a list of sources, got {short(value)}", keys)
        return []
    return [
        source
        for index, item in enumerate(value)
        for source in _source(item, (*keys, index), task, base, report)
    ]


def _source(value: Any, keys: Keys, task: Task, base: Path, report: Report) -> list[Weighted]:
    """One source in a list, or none if something is wrong with it."""
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        report(f'a source is a mapping with "type", got {short(value)}', keys)
        return []
    kind = value["type"]
    try:
        entry = registry.get("source", kind)
    except RegistryError as error:
        report(str(error), (*keys, "type"))
        return []
    known = registry.options(entry)
    options: dict[str, Any] = {}
    wrong = False

    def refuse(message: str, *below: str) -> None:
        nonlocal wrong
        wrong = True
        report(message, (*keys, *below))

    for name, item in value.items():
        if name in ("type", "weight"):
            continue
        if name not in known:
            refuse(f'source "{kind}" has no option "{name}"; {suggest(name, (*known, "weight"))}', name)
            continue
        try:
            options[name] = convert(item, known[name].annotation)
        except ValueError as error:
            refuse(f'option "{name}" of source "{kind}" {error}', name)
    for name, option in known.items():
        if option.required and name not in value:
            refuse(f'source "{kind}" needs option "{name}" ({type_name(option.annotation)})')
    weight = value.get("weight", 1)
    if type(weight) not in (int, float) or not 0 < weight < math.inf:
        refuse(f'"weight" of a source must be a number above 0, got {short(weight)}', "weight")
    if wrong:
        return []
    try:
        source = entry(task, base, **options)
    except DataError as error:
        refuse(str(error))
        return []
    said = [v for k in ("path", "images", "manifest") for v in _texts(options.get(k))]
    return [Weighted(" ".join([kind, *said]), source, float(weight))]


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _reporter(problems: list[str], place: Callable[[Keys], str]) -> Report:
    return lambda message, keys: problems.append(message + place(keys))
