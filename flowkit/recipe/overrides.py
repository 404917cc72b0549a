"""Overrides, `--set PATH=VALUE`: single values of a recipe changed, where the recipe has such a place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flowkit import registry
from flowkit.errors import RecipeError, RegistryError, suggest
from flowkit.recipe.document import Document, KeyPath, Problems, dotted, from_dict
from flowkit.recipe.schema import DEFAULT_TYPES, KEYS, REPEAT_KEYS
from flowkit.recipe.train import TrainOptions
from flowkit.recipe.yaml_text import parse_value

Overrides = Mapping[str, Any] | Iterable[str]


def apply(document: Document, overrides: Overrides | None, problems: Problems) -> None:
    """Change `document` in place; what cannot be set is reported and left out.

    A path is `train.lr`, `vars.steps`, `encoder.blocks`, `flow.0.repeat` or, as errors print it,
    `flow[0].repeat`. It must lead to something that is written in the recipe, or to an option that is legal
    there.
    """
    for number, (key, text, value) in enumerate(_pairs(overrides)):
        try:
            path = _path(key)
            new = parse_value(text, f"--set {key}") if text is not None else _plain(key, value)
            _set(document, path, new, f"--set {key}")
        except RecipeError as error:
            problems.add(str(error), ("--set", number))


def _pairs(overrides: Overrides | None) -> Iterable[tuple[str, str | None, Any]]:
    """Split overrides into (path, text of the value or None, the value if it is no text)."""
    if isinstance(overrides, str):
        overrides = [overrides]
    if isinstance(overrides, Mapping):
        return [(str(key), None, value) for key, value in overrides.items()]
    pairs: list[tuple[str, str | None, Any]] = []
    for item in overrides or ():
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise RecipeError(f"--set {item}: expected PATH=VALUE, as in --set vars.steps=8")
        pairs.append((key.strip(), text, None))
    return pairs


def _plain(key: str, value: Any) -> Any:
    return from_dict({"value": value}, f"--set {key}").data["value"]


def _path(key: str) -> KeyPath:
    parts = re.sub(r"\[(\d+)\]", r".\1", key).split(".")
    return tuple(int(part) if part.isascii() and part.isdigit() else part for part in parts)


def _set(document: Document, path: KeyPath, value: Any, origin: str) -> None:
    parent: Any = document.data
    for depth, part in enumerate(path):
        known, where = _known(document, parent, path[:depth])
        key: Any = part if isinstance(parent, list) else str(part)
        if key not in known:
            if isinstance(parent, list):
                suffix = f"it has {len(parent)} items, counted from 0"
            else:
                suffix = suggest(str(key), known) if known else f"{where} holds no keys"
            raise RecipeError(f'{origin}: there is no "{key}" in {where}; {suffix}')
        if depth == len(path) - 1:
            parent[key] = value
            break
        if depth == 0:
            parent.setdefault(key, {})  # a section that the recipe leaves out
        elif isinstance(parent, list) and isinstance(parent[key], str):
            parent[key] = {"type": parent[key]}  # a bare string is a layer without options; it gets one now
        parent = parent[key] if isinstance(parent, list) else parent.get(key)
    below = [mark for mark in document.marks if mark[: len(path)] == path]
    for mark in below:
        del document.marks[mark]
    document.marks[path] = origin


def _known(document: Document, parent: Any, path: KeyPath) -> tuple[list[Any], str]:
    """List the keys that may be set in `parent`; say what messages call it."""
    where = dotted(path) or "the recipe"
    if isinstance(parent, list):
        return list(range(len(parent))), where
    if not isinstance(parent, dict):
        return [], where
    if not path:
        return list(KEYS), where
    if path == ("train",):
        return list(registry.options(TrainOptions)), where
    if path[0] == "flow":
        kind = "layer"
    elif path in (("target",), ("encoder",)):
        kind = str(path[0])
    else:  # vars, or what is inside an option
        return list(parent), where
    if "repeat" in parent:
        return list(REPEAT_KEYS), where
    return list({**parent, "type": None, **_options(document, kind, parent)}), where


def _options(document: Document, kind: str, section: dict[str, Any]) -> dict[str, Any]:
    name = section.get("type", DEFAULT_TYPES.get(kind))
    if isinstance(name, str) and name.startswith("$"):
        variables = document.data.get("vars")
        name = variables.get(name[1:]) if isinstance(variables, dict) else None
    try:
        return dict(registry.options(registry.get(kind, str(name))))
    except RegistryError:
        return {}  # the check that follows reports the type
