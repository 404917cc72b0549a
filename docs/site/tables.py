"""The tables of docs/reference/recipes.md, from the registry: what recipes may name, and the options of each.

    python docs/site/tables.py        # writes them anew

A table stands between the lines `<!-- table: KIND -->` and `<!-- end -->`; of layers, `KIND` says whose.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import flowkit.losses  # noqa: F401  # registers
from flowkit import registry
from flowkit.recipe.options import type_name
from flowkit.registry import Option

PAGE = Path(__file__).parents[1] / "reference" / "recipes.md"
TABLE = re.compile(r"(<!-- table: (\w+(?: of \w+)?) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """The page with its tables as they should be."""
    return TABLE.sub(lambda found: found[1] + _table(found[2]) + found[3], page)


def _table(which: str) -> str:
    kind, _, host = which.partition(" of ")
    names = [n for n in registry.names(kind) if n.partition("/")[0] == host or not (host or "/" in n)]
    rows = [["name", "what", "options, with their defaults"], ["---"] * 3]
    for name in names:
        entry = registry.get(kind, name)
        options = "; ".join(map(_option, registry.options(entry).values()))
        reads = kind == "layer" and not host and "context" in registry.positional(entry)
        rows.append([f"`{name}`{' *' * reads}", _text(registry.summary(entry)), options])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _text(prose: str) -> str:
    """Without what Markdown would read as markup, and, in code too, as the end of a cell."""
    plain_and_code = prose.replace("|", r"\|").split("`")
    plain_and_code[::2] = [re.sub(r"([*_<\[\]])", r"\\\1", part) for part in plain_and_code[::2]]
    return "`".join(plain_and_code)


def _option(option: Option) -> str:
    choices = _choices(option.annotation)
    if option.required:
        return f"`{option.name}` ({' or '.join(choices)}; required)"
    default = list(option.default) if isinstance(option.default, tuple) else option.default
    text = default if isinstance(default, str) else json.dumps(default)
    others = [choice for choice in choices if choice != f"`{text}`"]
    shown = f"`{option.name}: {text}`"
    return " or ".join([shown, *others]) if len(choices) > 1 else shown


def _choices(annotation: Any) -> list[str]:
    """What a value may be: the choices themselves, or the type of all others."""
    if get_origin(annotation) in (Union, UnionType):
        return [choice for part in get_args(annotation) for choice in _choices(part)]
    if get_origin(annotation) is Literal:
        return [f"`{value}`" for value in get_args(annotation)]
    return ["`null`" if annotation is type(None) else type_name(annotation)]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
