"""The command line: `flowkit VERB ...`, one file per verb.

Exit codes: 0 done, 1 some pages failed, 2 wrong use or input that cannot be used (one clear message, no
traceback), 130 interrupted.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import sys
from collections.abc import Sequence

import flowkit
from flowkit.cli.lazy import LazyParser
from flowkit.errors import FlowkitError, printable_lines
from flowkit.malloc import keep_freed_memory

VERBS = {
    "binarize": "turn pages into black and white",
    "clean": "make the paper of pages white, and keep ink and pictures in grey or colour",
    "upscale": "make pages larger",
    "train": "train a recipe's flow by maximum likelihood",
    "evaluate": "score models and baselines on pages with truth",
    "check": "check recipes; print every problem with its file and line",
    "show": "print a recipe with its defaults and overrides applied",
    "convert": "convert weights of another program to a flowkit checkpoint",
    "export": "write a model as .pt2 or .onnx, to run without flowkit",
    "blend": "average a model's weights before and after fine-tuning",
    "degrade": "draw a contact sheet of degradations",
    "models": "list the shipped weights, or print the card of a model",
    "layers": "list the layers and other parts that recipes may name, with options and defaults",
    "view": "look at pages and results in a browser of this machine",
    "bench": "measure speed and memory on this machine",
    "build-kernels": "compile the affine op for this machine",
    "completion": "print what a shell needs to complete commands",
    "man": "print the manual page",
    "env": "print versions, devices, shipped recipes and weights",
}
"""Each verb and its line in `flowkit --help`; its arguments are in the module of its name."""


def parsers() -> tuple[LazyParser, dict[str, LazyParser]]:
    """Return the parser of the command line, and those of the verbs, whose modules are not imported yet."""
    whole = LazyParser(
        prog="flowkit",
        description="Conditional normalizing flows on images, and document pages cleaned by them.",
    )
    whole.add_argument("--version", action="version", version=f"flowkit {flowkit.__version__}")
    verbs = whole.add_subparsers(title="verbs", metavar="VERB")
    for verb, about in VERBS.items():
        verbs.add_parser(verb, help=about, declare=functools.partial(_declare, verb))
    return whole, dict(verbs.choices)


def _declare(verb: str, parser: argparse.ArgumentParser) -> None:
    importlib.import_module(f"flowkit.cli.{verb.replace('-', '_')}").add_arguments(parser)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit code."""
    whole, _ = parsers()
    args = whole.parse_args(argv)
    if "run" not in args:
        whole.exit(2, whole.format_help())
    keep_freed_memory()
    try:
        return int(args.run(args))
    except FlowkitError as error:
        print(f"flowkit: {error}", file=sys.stderr)
        return 2
    except (OSError, MemoryError) as error:
        # Errors that no module expects: a file name too long, a folder without access, no memory left.
        if isinstance(error, BrokenPipeError):
            # The reader of our output has closed it; Python must not fail when it flushes it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        print(f"flowkit: {printable_lines(str(error)) or 'out of memory'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("flowkit: interrupted", file=sys.stderr)
        return 130
