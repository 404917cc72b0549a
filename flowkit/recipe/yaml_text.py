"""YAML text read as plain data with the line of every value.

The parser's events are read directly, so that nothing but plain data can come out: tags, anchors and aliases
are refused, a repeated key is an error, and no constructor of PyYAML ever runs.

Plain scalars follow YAML 1.2 (core schema). PyYAML reads YAML 1.1, where `1e-4` is text, `on` is true,
`12:30` is 750 and `010` is 8. Here:

    null, ~, nothing            None
    true, false                 bool (also True, TRUE, ...); yes, no, on, off are text
    12, -3, 010, 200_000        int, always decimal (010 is 10); 0x1F and 0o17 too; at most 64 bits
    1e-4, .5, 2., .inf, .nan    float
    everything else             text: 12:30 and 2024-01-01 too
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from flowkit.errors import RecipeError
from flowkit.recipe.document import CONTROL, MAX_DEPTH, Document, KeyPath, Problems, fits, is_text, short

MAX_BYTES = 1 << 16  # a hundred times the longest recipe that ships; more would take PyYAML minutes

_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+(_[0-9]+)*|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def read_file(path: Path) -> Document:
    """Read the document in a file.

    Raises:
        RecipeError: the file is missing, unreadable, too large, not UTF-8, not YAML, or not a mapping.
    """
    return parse(_text(path), _shown(path))


def read_base(path: Path) -> Document:
    """Read a recipe that another one extends, which the user need not know of.

    It must be a regular file, since reading a pipe would block and a device might do anything. If it is no
    recipe, messages do not quote it.

    Raises:
        RecipeError: the file is missing, unreadable, too large, no regular file, or no recipe.
    """
    raw, origin = _raw(path, regular=True), _shown(path)
    try:
        document = parse(_decoded(raw, origin), origin)
    except RecipeError:
        document = Document(origin, {})
    if not document.data.keys() & {"version", "extends"}:
        raise RecipeError(f"{origin} is not a recipe; flowkit check says why")
    return document


def read_values(path: Path) -> tuple[Any, Document]:
    """Read a file that is no recipe and need not be a mapping; the document has the places in it.

    Raises:
        RecipeError: the file is missing, unreadable, too large, not UTF-8, or not YAML.
    """
    document = Document(_shown(path), {})
    return _parse(_text(path), document), document


def _text(path: Path) -> str:
    return _decoded(_raw(path), _shown(path))


def _raw(path: Path, *, regular: bool = False) -> bytes:
    origin = _shown(path)
    at_once = getattr(os, "O_NONBLOCK", 0) if regular else 0  # opening a pipe would wait for its writer
    try:
        if path.is_dir():
            raise RecipeError(f"{origin} is a folder, expected a recipe file")
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | at_once)) as file:
            if regular and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RecipeError(f"{origin} is not a regular file")
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(f"no file {origin}") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"cannot read {origin}: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > MAX_BYTES:
        raise RecipeError(f"{origin} is larger than {MAX_BYTES:,} bytes, which no recipe is")
    return raw


def _decoded(raw: bytes, origin: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{origin} is not UTF-8 text (byte 0x{raw[error.start]:02x} at offset {error.start:,})"
        ) from None


def parse(text: str, origin: str) -> Document:
    """Read the document in a text; error messages call it `origin`.

    Raises:
        RecipeError: all that is wrong with it.
    """
    document = Document(origin, {})
    data = _parse(text, document)
    if data is None:
        raise RecipeError(f"{origin} is empty, expected a recipe")
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else short(data)
        raise RecipeError(f"{origin}: expected a mapping of keys (version, flow, ...) at the top, got {kind}")
    document.data = data
    return document


def parse_value(text: str, origin: str) -> Any:
    """Read one value by the rules of a recipe: what `--set` is given.

    Raises:
        RecipeError: all that is wrong with it.

    >>> parse_value("1e-4", "--set"), parse_value("[1, 8]", "--set")
    (0.0001, [1, 8])
    """
    return _parse(text, Document(origin, {}), lines=False)


def _parse(text: str, document: Document, lines: bool = True) -> Any:
    if len(text) > MAX_BYTES:
        raise RecipeError(f"{document.origin} is longer than {MAX_BYTES:,} characters, which no recipe is")
    reader = _Reader(document, lines)
    try:
        value = reader.read(text)
    except yaml.MarkedYAMLError as error:
        what = ", ".join(part for part in (error.context, error.problem) if part)
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RecipeError(f"not valid YAML: {what}\n  {reader.at(line)}") from None
    except yaml.YAMLError as error:
        what = str(error).partition("\n")[0]
        raise RecipeError(f"not valid YAML: {what}\n  at {document.origin}") from None
    reader.problems.check()
    return value


class _Reader:
    """Turns events into values, with their marks and problems."""

    def __init__(self, document: Document, lines: bool) -> None:
        self.document = document
        self.lines = lines
        self.problems = Problems()
        self._events: Iterator[Any] = iter(())
        self._count = 0

    def read(self, text: str) -> Any:
        self._events = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        next(self._events)  # stream start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), ())
        next(self._events)  # document end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._refuse("expected one document, got a second one", after)
        return value

    def at(self, line: int) -> str:
        return f"at {self.document.origin}:{line}" if self.lines else f"at {self.document.origin}"

    def _refuse(self, message: str, event: Any) -> None:
        self._count += 1  # one place may be wrong in several ways here
        self.problems.add(message, (self._count,), self.at(event.start_mark.line + 1))

    def _value(self, event: Any, path: KeyPath) -> Any:
        plain_only = "a recipe holds plain data only; the"
        if len(path) > MAX_DEPTH:
            line = self.at(event.start_mark.line + 1)
            raise RecipeError(f"nested more than {MAX_DEPTH} deep\n  {line}")
        if isinstance(event, yaml.AliasEvent):
            self._refuse(f'{plain_only} alias "*{event.anchor}" is refused', event)
            return None
        if event.anchor is not None:
            self._refuse(f'{plain_only} anchor "&{event.anchor}" is refused', event)
        if event.tag is not None:
            self._refuse(f'{plain_only} tag "{event.tag}" is refused', event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._dict(path)
        if not is_text(event.value):
            self._refuse(f"{CONTROL} {short(event.value)}", event)
        if not event.implicit[0]:  # quoted
            return event.value
        try:
            return scalar(event.value)
        except ValueError as error:
            self._refuse(str(error), event)

    def _list(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            below = (*path, len(items))
            self._mark(below, event)
            items.append(self._value(event, below))
        return items

    def _dict(self, path: KeyPath) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if isinstance(event, yaml.ScalarEvent):
                key = event.value
                if not is_text(key):
                    self._refuse(f"{CONTROL} {short(key)}", event)
                if key in items:
                    self._refuse(f'key "{key}" is given twice', event)
            else:
                key = "?"
                self._refuse("a key must be a name", event)
                self._value(event, (*path, key))
            below = (*path, key)
            self._mark(below, event)
            items[key] = self._value(next(self._events), below)
        return items

    def _mark(self, path: KeyPath, event: Any) -> None:
        self.document.marks[path] = f"{self.document.origin}:{event.start_mark.line + 1}"


def _shown(path: Path) -> str:
    """Shorten a path to what it is from the working directory."""
    relative = os.path.relpath(path) if path.is_absolute() else str(path)
    return str(path) if relative.startswith("..") else relative


def scalar(text: str) -> bool | int | float | str | None:
    """Read a plain (unquoted) scalar.

    Raises:
        ValueError: a whole number that does not fit into 64 bits.

    >>> [scalar(text) for text in ("1e-4", "200_000", "on", "12:30", "010")]
    [0.0001, 200000, 'on', '12:30', 10]
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        base = {"0x": 16, "0o": 8}.get(text[:2], 10)
        # Python itself refuses to convert thousands of digits: look at the length first.
        if len(text) > 80 or not fits(number := int(text, base)):
            raise ValueError(f"the number {text[:20]}{'...' * (len(text) > 20)} does not fit into 64 bits")
        return number
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text
