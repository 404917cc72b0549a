"""`flowkit layers`: the names that recipes may use, with their options."""

from __future__ import annotations

import argparse
import textwrap

from flowkit import registry
from flowkit.cli.options import add_import, prepare
from flowkit.recipe.values import type_name

WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("--kind", choices=registry.KINDS, help="list this kind only")
    add_import(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the registry."""
    prepare(args)
    for kind in [args.kind] if args.kind else registry.KINDS:
        print(f"{kind}es" if kind.endswith("s") else f"{kind}s")
        for name in registry.names(kind):
            print(_entry(kind, name))
    return 0


def _entry(kind: str, name: str) -> str:
    entry = registry.get(kind, name)
    head = textwrap.fill(
        f"{name}: {registry.summary(entry)}", WIDTH, initial_indent="  ", subsequent_indent="    "
    )
    options = ", ".join(_option(option) for option in registry.options(entry).values())
    if not options:
        return head
    indent = " " * 6
    body = textwrap.fill(
        options, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
    return f"{head}\n{body.replace(_JOINT, ' ')}"


_JOINT = "\N{NO-BREAK SPACE}"  # textwrap leaves it alone, so that lines break between options only


def _option(option: registry.Option) -> str:
    text = f"{option.name}: {type_name(option.annotation)}"
    if not option.required:
        default = list(option.default) if isinstance(option.default, tuple) else option.default
        text += f" = {default!r}"
    return text.replace(" ", _JOINT)
