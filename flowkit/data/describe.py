"""Descriptions of training data: folders, data files (YAML) and mappings, read as sources."""

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
from flowkit.errors import RecipeError, suggest
from flowkit.recipe.document import KeyPath, short
from flowkit.recipe.parts import Report, make_part, read_part
from flowkit.recipe.yaml_text import read_values

Given = str | os.PathLike[str] | Mapping[str, Any] | Source
KEYS = ("sources", "validation", "cache")


@dataclass(frozen=True)
class Weighted:
    """A source, its name, and its weight among the others."""

    name: str
    source: Source
    weight: float


@dataclass
class Description:
    """A complete description.

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
    data file: a list of sources, or a mapping with such a list as `sources`. A mapping is one source, as is a
    `Source` itself.
    """
    found = Description([], None, None, [])
    folders = []
    for item in given:
        if isinstance(item, Source):
            found.sources.append(Weighted(type(item).__name__, item, 1.0))
            if item.task != task:
                found.problems.append(f"{type(item).__name__}: is for {item.task}, the model's is {task}")
        elif isinstance(item, Mapping):
            add = _reporter(found.problems, lambda keys: "")
            found.sources.extend(_source(item, (), task, Path(), add))
        elif not isinstance(item, str | os.PathLike):
            what = "a folder, a data file, a source or a pair of tensors"
            found.problems.append(f"training data: expected {what}, got {type(item).__name__}")
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


def _sources(value: Any, keys: KeyPath, task: Task, base: Path, report: Report) -> list[Weighted]:
    if not isinstance(value, list) or not value:
        report(f"expected a list of sources, got {short(value)}", keys)
        return []
    return [
        source
        for index, item in enumerate(value)
        for source in _source(item, (*keys, index), task, base, report)
    ]


def _source(value: Any, keys: KeyPath, task: Task, base: Path, report: Report) -> list[Weighted]:
    """Read one source of a list; none if anything is wrong with it."""
    part = read_part("source", value, keys, report, beside=("weight",))
    weight = value.get("weight", 1) if isinstance(value, Mapping) else 1
    if type(weight) not in (int, float) or not 0 < weight < math.inf:
        report(f'"weight" of a source must be a number above 0, got {short(weight)}', (*keys, "weight"))
        return []
    source = make_part(part, report, task, base) if part else None
    if part is None or source is None:
        return []
    said = [v for k in ("path", "images", "manifest") for v in _texts(part.options.get(k))]
    return [Weighted(" ".join([part.name, *said]), source, float(weight))]


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _reporter(problems: list[str], place: Callable[[KeyPath], str]) -> Report:
    return lambda message, keys: problems.append(message + place(keys))
