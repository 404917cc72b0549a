"""The command line: `flowkit VERB ...`, one file per verb.

Exit codes: 0 done, 1 some pages failed, 2 wrong use or input that cannot be used (one clear message, no
traceback), 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from flowkit.errors import FlowkitError
from flowkit.malloc import keep_freed_memory

VERBS = (
    "binarize",
    "upscale",
    "train",
    "evaluate",
    "check",
    "show",
    "convert",
    "blend",
    "degrade",
    "models",
    "layers",
    "bench",
    "build-kernels",
    "env",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="flowkit",
        description="Conditional normalizing flows on images, and document pages cleaned by them.",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in VERBS:
        importlib.import_module(f"flowkit.cli.{verb.replace('-', '_')}").add_parser(verbs)
    args = parser.parse_args(argv)
    keep_freed_memory()
    try:
        return int(args.run(args))
    except FlowkitError as error:
        print(f"flowkit: {error}", file=sys.stderr)
        return 2
    except (OSError, MemoryError) as error:
        # What no module foresaw: a file name too long, a folder that may not be searched, memory spent.
        if isinstance(error, BrokenPipeError):
            # Whoever read our output has gone; closing it again at exit must not complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        print(f"flowkit: {str(error) or 'out of memory'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("flowkit: interrupted", file=sys.stderr)
        return 130
