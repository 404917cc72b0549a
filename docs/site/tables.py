"""Generated tables of the documentation: of the registry, of the command line, and of results.

    python docs/site/tables.py        # writes them anew

A table stands between the lines `<!-- table: KIND -->` and `<!-- end -->`. KIND is a kind of the registry
(`layer of nflows` for another library's layers), `commands`, or the name of a table of results.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import flowkit.losses  # noqa: F401  # registers
from flowkit import registry
from flowkit.cli import VERBS, parsers
from flowkit.cli.manual import Section, section
from flowkit.recipe.values import type_name
from flowkit.registry import Option

sys.path.insert(0, str(Path(__file__).parent))
import results

DOCS = Path(__file__).parents[1]
WITH_TABLES = ("reference/recipes.md", "reference/cli.md", "results/index.md", "background/tools.md")
PAGES = [DOCS / page for page in WITH_TABLES]
TABLE = re.compile(r"(<!-- table: ([\w-]+(?: of \w+)?) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """Return the page with its tables as they should be."""
    return TABLE.sub(lambda found: found[1] + _table(found[2]) + found[3], page)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table, the first row as its head."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def _table(which: str) -> str:
    if which == "commands":
        return "".join(map(_command, VERBS))
    if which in results.TABLES:
        return markdown(results.TABLES[which]())
    kind, _, host = which.partition(" of ")
    names = [n for n in registry.names(kind) if n.partition("/")[0] == host or not (host or "/" in n)]
    rows = [["name", "what", "options, with their defaults"]]
    for name in names:
        entry = registry.get(kind, name)
        options = "; ".join(map(_option, registry.options(entry).values()))
        reads = kind == "layer" and not host and "context" in registry.positional(entry)
        rows.append([f"`{name}`{' *' * reads}", _text(registry.summary(entry)), options])
    return markdown(rows)


def _command(verb: str) -> str:
    _, verbs = parsers()
    return _section(section(verbs[verb], VERBS[verb]), "##")


def _section(part: Section, heading: str) -> str:
    """Return how a verb is called, what it does, its options, and the same of its own verbs."""
    rows = [("option", "meaning"), *((f"`{spelling}`", _text(meaning)) for spelling, meaning in part.options)]
    text = f"{heading} {part.command}\n\n```\n{part.usage}\n```\n\n{_text(part.about)}\n\n"
    text += f"{markdown(rows)}\n" if part.options else ""
    return text + "".join(_section(verb, f"{heading}#") for verb in part.verbs)


def _text(prose: str) -> str:
    """Return prose in which Markdown finds no markup and, in code too, no end of a cell."""
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
    """Return the values an option may have: the choices themselves, or the type of all others."""
    if get_origin(annotation) in (Union, UnionType):
        return [choice for part in get_args(annotation) for choice in _choices(part)]
    if get_origin(annotation) is Literal:
        return [f"`{value}`" for value in get_args(annotation)]
    return ["`null`" if annotation is type(None) else type_name(annotation)]


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(written(path.read_text()))
