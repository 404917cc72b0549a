"""A recipe as it was written: plain data, where each value came from, and the problems found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowkit.errors import RecipeError
from flowkit.recipe.scalars import fits

Path = tuple[str | int, ...]

MAX_DEPTH = 50  # of nesting: far beyond any recipe, far below Python's recursion limit


@dataclass
class Document:
    """Plain data (None, bool, int, float, str, list, dict) and the mark, "file:line", of each path in it."""

    origin: str
    data: dict[str, Any]
    marks: dict[Path, str] = field(default_factory=dict)

    def place(self, path: Path) -> str:
        """`at file:line: dotted.path`; a path that was not written has the line of what it should be in."""
        nearest = (self.marks[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.marks)
        return f"at {next(nearest, self.origin)}" + (f": {dotted(path)}" if path else "")


def dotted(path: Path) -> str:
    """A path as it is printed.

    >>> dotted(("flow", 0, "steps", 2, "type"))
    'flow[0].steps[2].type'
    """
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


class Problems:
    """What is wrong with a recipe: collected, one for each path, and raised together."""

    def __init__(self) -> None:
        self._lines: dict[Path, str] = {}

    def add(self, message: str, path: Path, place: str | None = None) -> None:
        """Note a problem. Where there is one already, a second is its consequence and is dropped."""
        self._lines.setdefault(path, f"{message}\n  {place}" if place else message)

    def check(self) -> None:
        """Raise all that was collected as one RecipeError, if there is anything."""
        if self._lines:
            raise RecipeError("\n".join(self._lines.values())) from None


def from_dict(data: Mapping[str, Any], origin: str = "<dict>") -> Document:
    """A document from Python data: copied, tuples as lists.

    Raises:
        RecipeError: something in it is not plain data.
    """
    problems = Problems()
    document = Document(origin, {})
    document.data = _plain(data, (), document, problems)
    problems.check()
    return document


def _plain(value: Any, path: Path, document: Document, problems: Problems) -> Any:
    """A copy of `value` that holds only plain data; what is not is reported."""
    document.marks[path] = document.origin
    if len(path) > MAX_DEPTH:
        problems.add(f"nested more than {MAX_DEPTH} deep", path[:1], document.place(path[:1]))
    elif isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                problems.add(f"key {key!r} must be text", path, document.place(path))
        return {str(key): _plain(item, (*path, str(key)), document, problems) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        return [_plain(item, (*path, index), document, problems) for index, item in enumerate(value)]
    elif type(value) is int and not fits(value):
        problems.add("the number does not fit into 64 bits", path, document.place(path))
    elif value is not None and type(value) not in (bool, int, float, str):
        found = type(value).__name__
        problems.add(f"a recipe holds plain data only, got {found}", path, document.place(path))
    return value


def short(value: Any) -> str:
    """`repr(value)`, cut to what fits into a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def merge(base: Document, over: Document) -> Document:
    """`over` on top of `base`: mappings merge, all else (lists too) is replaced.

    A mapping that names another `type` replaces the whole mapping, because options belong to their type.
    """
    replaced: set[Path] = set()
    data = _merge(base.data, over.data, (), replaced)
    kept = {
        path: mark
        for path, mark in base.marks.items()
        if not any(path[:n] in replaced for n in range(len(path) + 1))
    }
    return Document(over.origin, data, kept | over.marks)


def _merge(old: Any, new: Any, path: Path, replaced: set[Path]) -> Any:
    mappings = isinstance(old, dict) and isinstance(new, dict)
    if not mappings or ("type" in old and "type" in new and old["type"] != new["type"]):
        replaced.add(path)
        return new
    both = {key: _merge(old[key], new[key], (*path, key), replaced) for key in old if key in new}
    return {**old, **new, **both}
