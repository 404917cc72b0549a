"""`flowkit completion`: what a shell needs to complete verbs, options, choices and files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from flowkit.cli import parsers

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.description = (
        "Print a script that completes verbs, options, choices and files in a shell. Save it as "
        "~/.local/share/bash-completion/completions/flowkit for bash, as _flowkit in a folder of $fpath for "
        "zsh, as ~/.config/fish/completions/flowkit.fish for fish"
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    whole, verbs = parsers()
    for parser in verbs.values():
        _complete_files(parser.declared(), shtab.FILE)
    print(shtab.complete(whole, args.shell))
    return 0


def _complete_files(parser: argparse.ArgumentParser, files: object) -> None:
    """Offer files wherever any text can stand."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _complete_files(inner, files)
        elif action.nargs != 0 and not action.choices and action.type in (None, Path):
            offering: Any = action
            offering.complete = files
