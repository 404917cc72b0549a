"""The registry: the closed list of names that a recipe may use.

A layer enters by a decorator, and its signature is its schema: the keyword-only parameters are the options
that a recipe may set, their annotations are checked, and the positional ones come from the builder.

    @register("affine_injector")
    class AffineInjector(FlowLayer):
        def __init__(self, shape: Shape, context: Shape, *, hidden: int = 64): ...

flowkit's own modules are imported when a kind is first asked for. Layers of other packages are found through
the entry point group `flowkit.layers`, which names modules that register when imported.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import re
import typing
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from flowkit.errors import RegistryError, suggest

_HOMES = {
    "target": ("flowkit.targets",),
    "encoder": ("flowkit.encoders",),
    "layer": ("flowkit.layers", "flowkit.interop"),
    "loss": ("flowkit.losses",),
    "source": ("flowkit.data.sources",),
    "degradation": ("flowkit.degradations",),
}
"""Kind -> modules that register flowkit's own, imported at the first request for the kind."""
KINDS = tuple(_HOMES)
ENTRY_POINTS = "flowkit.layers"

T = TypeVar("T", bound=Callable[..., Any])

_entries: dict[str, dict[str, Callable[..., Any]]] = {kind: {} for kind in KINDS}
_aliases: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
_refused: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
_entry_points_loaded = False


def register(name: str, *, kind: str | None = None, was: Iterable[str] = ()) -> Callable[[T], T]:
    """Register the decorated class (or function) under `name`.

    Args:
        name: what recipes write as `type`: lower case, digits and underscores; `host/name` for adapters.
        kind: one of `KINDS`; by default the `kind` attribute that the base class (`FlowLayer`, `Encoder`,
            `Target`) gives to its subclasses.
        was: former names; they go on working and warn.

    Raises:
        RegistryError: the name is malformed, the kind unknown, or the name belongs to another class already.
    """

    def decorate(entry: T) -> T:
        where = kind or getattr(entry, "kind", None)
        if where not in KINDS:
            raise RegistryError(
                f'cannot register "{name}": kind must be one of {", ".join(KINDS)}, got {where!r}'
            )
        for text in (name, *was):
            if not re.fullmatch(r"[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)?", text):
                raise RegistryError(
                    f'cannot register {where} "{text}": a name is lower case, digits, underscores'
                )
        if not entry.__module__.startswith("flowkit."):  # a name that flowkit has is refused here, not later
            _import_own(where)
        for text in (name, *was):
            before = _entries[where].get(_aliases[where].get(text, text))
            # The same class again is a notebook cell or a module that was run twice: the newer one counts.
            if before is not None and _origin(before) != _origin(entry):
                raise RegistryError(
                    f'{where} "{text}" is registered twice: by {_origin(before)} and by {_origin(entry)}'
                )
        _entries[where][name] = entry
        _refused[where].pop(name, None)  # a later registration overrides the refusal
        _aliases[where].update(dict.fromkeys(was, name))
        return entry

    return decorate


def refuse(kind: str, name: str, why: str) -> None:
    """Declare that `name` will not be registered, and why; a request for it raises the reason.

    For names that a reader of another library's documentation would expect to find.

    Raises:
        RegistryError: it is registered.
    """
    if name in _of(kind):
        raise RegistryError(f'cannot refuse {kind} "{name}": it is registered')
    _refused[kind][name] = why


def refused(kind: str) -> dict[str, str]:
    """Return the refused names of a kind, sorted, with the reasons."""
    _import_own(kind)
    return dict(sorted(_refused[kind].items()))


def names(kind: str) -> list[str]:
    """Return all registered names of a kind, sorted.

    >>> "affine_coupling" in names("layer")
    True
    """
    _import_own(kind)
    _load_entry_points()
    return sorted(_of(kind))


def get(kind: str, name: str) -> Callable[..., Any]:
    """Return the class (or function) registered under `name`.

    Raises:
        RegistryError: nothing is; the message holds the nearest known name, or why the name is refused.
    """
    _import_own(kind)
    _load_entry_points()
    entries = _of(kind)
    if name in _aliases[kind]:
        now = _aliases[kind][name]
        warnings.warn(f'{kind} "{name}" is now called "{now}"', FutureWarning, stacklevel=2)
        name = now
    if name in _refused[kind]:
        raise RegistryError(f'{kind} "{name}" cannot be used: {_refused[kind][name]}')
    if name not in entries:
        raise RegistryError(f'unknown {kind} "{name}"; {suggest(name, entries)}')
    return entries[name]


@dataclass(frozen=True)
class Option:
    """One option of a registered class: a keyword-only parameter."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Return true if it has no default."""
        return self.default is inspect.Parameter.empty


def options(entry: Callable[..., Any]) -> dict[str, Option]:
    """Return the options of a registered class: its keyword-only parameters, by name, in their order."""
    hints = _hints(entry)
    return {
        p.name: Option(p.name, hints.get(p.name, Any), p.default)
        for p in inspect.signature(entry).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }


def positional(entry: Callable[..., Any]) -> list[str]:
    """Return the names of the builder's parameters: `shape` and, for conditional layers, `context`."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in inspect.signature(entry).parameters.values() if p.kind in kinds]


def summary(entry: Callable[..., Any]) -> str:
    """Return the first line of the docstring."""
    return (inspect.getdoc(entry) or "").partition("\n")[0]


def _of(kind: str) -> dict[str, Callable[..., Any]]:
    if kind not in KINDS:
        raise RegistryError(f'unknown kind "{kind}"; {suggest(kind, KINDS)}')
    return _entries[kind]


def _import_own(kind: str) -> None:
    """Import the modules that register flowkit's own of a kind."""
    _of(kind)
    for module in _HOMES[kind]:
        importlib.import_module(module)


def _origin(entry: Callable[..., Any]) -> str:
    return f"{entry.__module__}.{entry.__qualname__}"


def _hints(entry: Callable[..., Any]) -> dict[str, Any]:
    function = inspect.getattr_static(entry, "__init__") if isinstance(entry, type) else entry
    try:
        return typing.get_type_hints(function)
    except NameError as error:
        # Most often a type that is imported under TYPE_CHECKING only.
        raise RegistryError(f"the annotations of {_origin(entry)} cannot be read: {error}") from None


def _load_entry_points() -> None:
    global _entry_points_loaded
    if _entry_points_loaded:
        return
    _entry_points_loaded = True
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except Exception as error:  # an error in another package must not stop flowkit
            warnings.warn(f"entry point {point.name} = {point.value} failed to load: {error}", stacklevel=3)
