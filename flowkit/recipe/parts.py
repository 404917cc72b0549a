"""Registered parts as they are written: a name, or a mapping with `type` and options.

Recipes, data files and lists of degradations are read here, each with its own way to report problems. An
option may hold parts of its own: its annotation is then the base class of a kind (`FlowLayer`, say), or a
sequence of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from flowkit import registry
from flowkit.errors import FlowkitError, RegistryError, suggest
from flowkit.recipe.document import KeyPath, short
from flowkit.recipe.values import convert, type_name

Report = Callable[[str, KeyPath], None]

BARE = ("layer", "degradation")  # kinds that stand in lists, where a bare name is a part without options
SECTIONS = ("target", "encoder")  # kinds that are sections of a recipe, and called by their key


@dataclass(frozen=True)
class Part:
    """A registered thing with its checked options.

    Attributes:
        kind: one of `registry.KINDS`.
        name: as it is registered.
        entry: what is registered under it.
        options: as the entry takes them; those that are parts themselves as `Part`, or tuples of `Part`.
        path: where it was written.
    """

    kind: str
    name: str
    entry: Callable[..., Any]
    options: Mapping[str, Any]
    path: KeyPath


def read_part(
    kind: str,
    value: Any,
    path: KeyPath,
    report: Report,
    *,
    default: str | None = None,
    beside: Collection[str] = (),
) -> Part | None:
    """Read and check one part.

    Args:
        kind: one of `registry.KINDS`.
        value: what was written.
        path: where.
        report: called with every problem and its place.
        default: its type, where none is written.
        beside: keys of the mapping that are no options, and the caller's to read.

    Returns:
        the part, or None if anything is wrong with it.
    """
    owner = f'"{kind}"' if kind in SECTIONS else f"a {kind}"
    bare = kind in BARE and isinstance(value, str)
    if not bare and not isinstance(value, Mapping):
        who = f"a step must be a {kind}'s name or" if kind in BARE else f"{owner} must be"
        report(f'{who} a mapping with "type", got {short(value)}', path)
        return None
    name = value if bare else value.get("type", default)
    type_path = path if bare else (*path, "type")
    if not isinstance(name, str):
        found = f'"type" must be the name of a {kind}, got {short(name)}'
        report(found if "type" in value else f'{owner} needs "type"', type_path)
        return None
    try:
        entry = registry.get(kind, name)
    except RegistryError as error:
        report(str(error), type_path)
        return None
    given = {} if bare else {key: item for key, item in value.items() if key not in ("type", *beside)}
    noted = _Noted(report)
    options = read_options(entry, f'{kind} "{name}"', given, path, noted, beside=beside)
    return None if noted.any else Part(kind, name, entry, options, path)


def read_parts(kind: str, value: Any, path: KeyPath, report: Report) -> tuple[Part, ...]:
    """Read and check a list of parts; those with problems are left out. Arguments are as for `read_part`."""
    if not isinstance(value, list | tuple):
        report(f'"{path[-1]}" must be a list of {kind}s, got {short(value)}', path)
        return ()
    parts = [read_part(kind, item, (*path, index), report) for index, item in enumerate(value)]
    return tuple(part for part in parts if part is not None)


def read_options(
    entry: Callable[..., Any],
    owner: str,
    given: Mapping[str, Any],
    path: KeyPath,
    report: Report,
    *,
    beside: Collection[str] = (),
) -> dict[str, Any]:
    """Read and check options against a signature: unknown ones, types, and those that must be there.

    Args:
        entry: whose keyword-only parameters are the options.
        owner: what it is called in messages.
        given: the options as they were written.
        path: where.
        report: called with every problem and its place.
        beside: other keys that would have been right there, for suggestions.

    Returns:
        the options that are right, as `entry` takes them.
    """
    known = registry.options(entry)
    values: dict[str, Any] = {}
    for name, item in given.items():
        if name not in known:
            report(f'{owner} has no option "{name}"; {suggest(name, (*known, *beside))}', (*path, name))
            continue
        try:
            values[name] = _value(item, known[name].annotation, (*path, name), report)
        except ValueError as error:
            report(f'option "{name}" of {owner} {error}', (*path, name))
        except _Reported:
            pass
    for name, option in known.items():
        if option.required and name not in given:
            report(f'{owner} needs option "{name}" ({type_name(option.annotation)})', (*path, name))
    return values


def make_part(part: Part, report: Report, *given: Any) -> Any | None:
    """Call a part's class with its options, the parts among them made before it.

    Args:
        part: what to make.
        report: called with the place of the part and what its class refuses.
        given: the positional arguments.

    Returns:
        what was made, or None if it was refused.
    """
    noted = _Noted(report)

    def made(value: Any) -> Any:
        if isinstance(value, Part):
            return make_part(value, noted)
        return tuple(map(made, value)) if isinstance(value, tuple) else value

    options = {name: made(value) for name, value in part.options.items()}
    if noted.any:
        return None
    try:
        return part.entry(*given, **options)
    except FlowkitError as error:
        report(str(error), part.path)
        return None


class _Noted:
    """Passes problems on, and knows whether there were any."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.any = False

    def __call__(self, message: str, path: KeyPath) -> None:
        self.any = True
        self.report(message, path)


class _Reported(Exception):
    """A part inside an option has problems, which were reported."""


def _value(value: Any, annotation: Any, path: KeyPath, report: Report) -> Any:
    """Convert an option's value, or read the parts that it is made of."""
    union = get_origin(annotation) in (Union, UnionType)
    noted = _Noted(report)
    parts: Part | tuple[Part, ...] | None
    for choice in get_args(annotation) if union else (annotation,):
        items = get_args(choice) if get_origin(choice) in (list, tuple, Sequence) else ()
        if (kind := _kind(choice)) and not (union and value is None):
            parts = read_part(kind, value, path, noted)
        elif items and (kind := _kind(items[0])) and (not union or isinstance(value, list | tuple)):
            parts = read_parts(kind, value, path, noted)
        else:
            continue
        if noted.any:
            raise _Reported
        return parts
    return convert(value, annotation)


def _kind(annotation: Any) -> str | None:
    """Return the kind of parts of which a class is the base."""
    kind = getattr(annotation, "kind", None) if isinstance(annotation, type) else None
    return kind if kind in registry.KINDS else None
