"""Documents: plain data, the line of every value in them, and the problems found."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowkit.errors import RecipeError

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 50  # of nesting: far beyond any recipe, far below Python's recursion limit
MAX_VALUES = 1 << 16  # in a document, its variables put in: more than the longest text can hold
MAX_ITEMS = 1000  # of an option that is a list


@dataclass
class Document:
    """Plain data and the place of every value in it.

    Attributes:
        origin: the file, or what messages call it.
        data: None, bool, int, float, str, list, dict.
        marks: "file:line" of each path.
    """

    origin: str
    data: dict[str, Any]
    marks: dict[KeyPath, str] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        """Say where a path is: `at file:line: dotted.path`.

        A path that was not written has the line of what it should be in.
        """
        nearest = (self.marks[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.marks)
        return f"at {next(nearest, self.origin)}" + (f": {dotted(path)}" if path else "")


def dotted(path: KeyPath) -> str:
    """Spell a path as messages print it.

    >>> dotted(("flow", 0, "steps", 2, "type"))
    'flow[0].steps[2].type'
    """
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


class Problems:
    """Problems of a document: collected, one for each path, and raised together."""

    def __init__(self) -> None:
        self._lines: dict[KeyPath, str] = {}

    def add(self, message: str, path: KeyPath, place: str | None = None) -> None:
        """Note a problem. Where there is one already, a second is its consequence and is dropped."""
        self._lines.setdefault(path, f"{message}\n  {place}" if place else message)

    def reporter(self, document: Document) -> Callable[[str, KeyPath], None]:
        """Make a function that notes problems with their places in a document."""
        return lambda message, path: self.add(message, path, document.place(path))

    def check(self) -> None:
        """Raise all that was collected as one RecipeError, if there is anything."""
        if self._lines:
            raise RecipeError("\n".join(self._lines.values())) from None


def from_dict(data: Mapping[str, Any], origin: str = "<dict>") -> Document:
    """Make a document of Python data: copied, tuples as lists.

    Raises:
        RecipeError: something in it is not plain data.
    """
    problems = Problems()
    document = Document(origin, {})
    document.data = _plain(data, (), document, problems)
    problems.check()
    return document


def _plain(value: Any, path: KeyPath, document: Document, problems: Problems) -> Any:
    """Copy plain data; report what is none."""
    document.marks[path] = document.origin
    if len(document.marks) > MAX_VALUES:
        raise RecipeError(f"more than {MAX_VALUES:,} values, which no recipe has\n  at {document.origin}")
    if len(path) > MAX_DEPTH:
        problems.add(f"nested more than {MAX_DEPTH} deep", path[:1], document.place(path[:1]))
    elif isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                problems.add(f"key {key!r} must be text", path, document.place(path))
            elif not is_text(key):
                problems.add(f"{CONTROL} {short(key)}", path, document.place(path))
        return {str(key): _plain(item, (*path, str(key)), document, problems) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        return [_plain(item, (*path, index), document, problems) for index, item in enumerate(value)]
    elif type(value) is int and not fits(value):
        problems.add("the number does not fit into 64 bits", path, document.place(path))
    elif isinstance(value, str) and not is_text(value):
        problems.add(f"{CONTROL} {short(value)}", path, document.place(path))
    elif value is not None and type(value) not in (bool, int, float, str):
        found = type(value).__name__
        problems.add(f"a recipe holds plain data only, got {found}", path, document.place(path))
    return value


CONTROL = "a recipe holds plain text only; control characters are refused in"


def is_text(value: str) -> bool:
    """Tell whether a text has no control characters, which a terminal obeys, but ends of lines and tabs."""
    return all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") for c in value)


def fits(number: int) -> bool:
    """Tell whether a whole number fits into 64 bits, the most that torch takes."""
    return -(2**63) <= number < 2**63


def short(value: Any) -> str:
    """Cut `repr(value)` to what fits into a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def merge(base: Document, over: Document) -> Document:
    """Lay `over` on top of `base`: mappings merge, all else (lists too) is replaced.

    A mapping that names another `type` replaces the whole mapping, because options belong to their type.
    """
    replaced: set[KeyPath] = set()
    data = _merge(base.data, over.data, (), replaced)
    kept = {
        path: mark
        for path, mark in base.marks.items()
        if not any(path[:n] in replaced for n in range(len(path) + 1))
    }
    return Document(over.origin, data, kept | over.marks)


def _merge(old: Any, new: Any, path: KeyPath, replaced: set[KeyPath]) -> Any:
    mappings = isinstance(old, dict) and isinstance(new, dict)
    if not mappings or ("type" in old and "type" in new and old["type"] != new["type"]):
        replaced.add(path)
        return new
    both = {key: _merge(old[key], new[key], (*path, key), replaced) for key in old if key in new}
    return {**old, **new, **both}
