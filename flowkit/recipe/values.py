"""Conversion of written values to the annotations of the class that takes them."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Union, get_args, get_origin

from flowkit.recipe.document import MAX_ITEMS, short


def convert(value: Any, annotation: Any) -> Any:
    """Convert a value to an annotation: an int to a float, a list to a tuple; never a bool to a number.

    Knows int, float, bool, str, None, Literal, unions, `list[...]`, `tuple[...]`, `Sequence[...]`, `dict`.

    Raises:
        ValueError: "must be ..., got ...".

    >>> convert(3, float), convert([1, 2], tuple[int, ...])
    (3.0, (1, 2))
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return value
    if annotation is float and type(value) in (int, float):
        return float(value)
    if annotation in (int, bool, str) and type(value) is annotation:
        return value
    if annotation in (None, type(None)) and value is None:
        return None
    if origin is Literal:
        if any(type(value) is type(choice) and value == choice for choice in args):
            return value
        raise ValueError(f"must be one of {', '.join(map(repr, args))}, got {short(value)}")
    if origin in (Union, types.UnionType):
        for choice in args:
            try:
                return convert(value, choice)
            except ValueError:
                continue
    if origin is dict and isinstance(value, Mapping):
        with suppress(ValueError):
            return {convert(key, args[0]): convert(item, args[1]) for key, item in value.items()}
    sequence = _sequence(value, origin or annotation, args)
    if sequence is not None:
        return sequence
    raise ValueError(f"must be {type_name(annotation)}, got {short(value)}")


def _sequence(value: Any, kind: Any, args: tuple[Any, ...]) -> list[Any] | tuple[Any, ...] | None:
    """Convert the items of a list or tuple; None if `value` is not one of that kind."""
    if kind not in (list, tuple, Sequence) or not isinstance(value, list | tuple):
        return None
    if kind is tuple and args and args[-1] is not Ellipsis:
        wanted = args
    else:
        wanted = (args[0] if args else Any,) * len(value)
    if len(wanted) != len(value):
        return None
    if len(value) > MAX_ITEMS:
        raise ValueError(f"must have {MAX_ITEMS:,} items at most, got {len(value):,}")
    try:
        items = [convert(item, annotation) for item, annotation in zip(value, wanted, strict=True)]
    except ValueError:
        return None
    return items if kind is list else tuple(items)


def type_name(annotation: Any) -> str:
    """Spell an annotation as a reader of recipes would.

    >>> type_name(Literal["soft", "sigmoid"] | None)
    "'soft' | 'sigmoid' | None"
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in (None, type(None)):
        return "None"
    if origin is Literal:
        return " | ".join(map(repr, args))
    if origin in (Union, types.UnionType):
        return " | ".join(map(type_name, args))
    if origin in (list, tuple, Sequence):
        fixed = origin is tuple and args[-1] is not Ellipsis  # a recipe has lists only: say what is in one
        return f"[{', '.join(map(type_name, args))}]" if fixed else f"list[{type_name(args[0])}]"
    if origin is dict:
        return f"mapping of {type_name(args[0])} to {type_name(args[1])}"
    if kind := getattr(annotation, "kind", None):
        return str(kind)
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
