"""`flowkit man`: the manual page, made from the parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import flowkit
from flowkit.cli import VERBS, parsers
from flowkit.cli.manual import Section, section

_EXIT = {
    "0": "done",
    "1": "some pages failed",
    "2": "wrong usage, or input that cannot be used; one message tells why",
    "130": "interrupted",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.description = (
        "Print the manual page, in roff. To read it: flowkit man | man -l -. To install it: "
        "flowkit man > ~/.local/share/man/man1/flowkit.1"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the page."""
    print("\n".join(_page()))
    return 0


def _page() -> Iterator[str]:
    whole, verbs = parsers()
    yield f'.TH FLOWKIT 1 "" "flowkit {flowkit.__version__}" "User Commands"'
    yield from (".SH NAME", f"flowkit \\- {_text(whole.description or '')}")
    yield from (".SH SYNOPSIS", ".B flowkit", ".I VERB", "[options]", ".SH VERBS")
    for verb, about in VERBS.items():
        yield from (".TP", f".B {_text(verb)}", _text(about))
    for verb, about in VERBS.items():
        for part in section(verbs[verb], about).walk():
            yield from _section(part)
    yield ".SH EXIT STATUS"
    for code, meaning in _EXIT.items():
        yield from (".TP", f".B {code}", meaning)


def _section(part: Section) -> Iterator[str]:
    yield from (f".SH {_text(part.command.upper())}", f".B {_text(part.usage)}")
    if part.about:
        yield from (".PP", _text(part.about))
    for spelling, meaning in part.options:
        yield from (".TP", f".B {_text(spelling)}", _text(meaning))


def _text(text: str) -> str:
    r"""Return text as roff shows it: `\` and `-` escaped, and no control line begun by `.` or `'`."""
    text = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text[:1] in ("", ".", "'") else text
