"""The manual of the command line as data: its verbs and their options, as the parsers have them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from flowkit.cli.lazy import LazyParser


@dataclass(frozen=True)
class Section:
    """A verb.

    Attributes:
        command: the words that call it, such as "flowkit bench op".
        usage: the command with all that it needs.
        about: what it does, in sentences.
        options: the spelling and the meaning of each argument.
        verbs: its own verbs.
    """

    command: str
    usage: str
    about: str
    options: tuple[tuple[str, str], ...]
    verbs: tuple[Section, ...]

    def walk(self) -> Iterator[Section]:
        """Yield the section, then those of its verbs."""
        yield self
        for verb in self.verbs:
            yield from verb.walk()


def section(parser: LazyParser, about: str = "") -> Section:
    """Return the section of a parser, whose description comes before the line `about`."""
    parser.declared()
    formatter = parser._get_formatter()
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    actions = [a for a in parser._actions if not isinstance(a, argparse._HelpAction) and a not in inner]
    needed = [_spelling(a, short=True) for a in [*actions, *inner] if a.required]
    more = ["[options]"] if inner or any(not a.required for a in actions) else []
    about = parser.description or about
    about = about[:1].upper() + about[1:].rstrip(".") + "." if about else ""
    return Section(
        command=parser.prog,
        usage=" ".join([parser.prog, *needed, *more]),
        about=about,
        options=tuple((_spelling(a), formatter._expand_help(a) if a.help else "") for a in actions),
        verbs=tuple(section(of) for a in inner for of in a.choices.values()),
    )


def _spelling(action: argparse.Action, *, short: bool = False) -> str:
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    value = value if isinstance(value, str) else " ".join(value)
    if action.nargs in ("+", "*"):
        value = f"{value}..." if action.option_strings == [] or short else f"{value} ..."
    if not action.option_strings:
        return value
    names = action.option_strings[:1] if short else action.option_strings
    return ", ".join(names) + ("" if action.nargs == 0 else f" {value}")
