"""Variables put in, repeats unrolled."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowkit.errors import suggest
from flowkit.recipe.document import Path

MAX_LAYERS = 10_000

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Part:
    """A registered thing with its checked options: a layer of the flow, the encoder or the target."""

    kind: str
    name: str
    entry: Callable[..., Any]
    options: Mapping[str, Any]
    path: Path


@dataclass(frozen=True)
class Repeat:
    """`steps`, `count` times, with `between` after each time but the last."""

    count: int
    steps: tuple[Step, ...]
    between: tuple[Step, ...]


Step = Part | Repeat


def count(steps: Sequence[Step]) -> int:
    """How many layers `unroll` would give, without making them."""
    total = 0
    for step in steps:
        if isinstance(step, Part):
            total += 1
        elif step.count:
            total += step.count * count(step.steps) + (step.count - 1) * count(step.between)
    return total


def unroll(steps: Sequence[Step]) -> list[Part]:
    """The layers in their order. Repetitions share one Part, and so one path."""
    parts: list[Part] = []
    for step in steps:
        if isinstance(step, Part):
            parts.append(step)
        elif step.count:
            body, between = unroll(step.steps), unroll(step.between)
            parts += (body + between) * (step.count - 1) + body
    return parts


def substitute(value: Any, known: Mapping[str, Any], path: Path, report: Callable[[str, Path], None]) -> Any:
    """A copy of `value` with every `$name` replaced; what is not known is reported and left as it is."""
    if isinstance(value, dict):
        return {key: substitute(item, known, (*path, key), report) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, known, (*path, index), report) for index, item in enumerate(value)]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    name = value[1:]
    if name in known:
        return known[name]
    if NAME.fullmatch(name):
        report(f"unknown variable {value}; {suggest(name, known)}", path)
    else:
        report(f'"{value}" is not a variable: only a whole value, $name, can be one', path)
    return value
