"""Options that several verbs share."""

from __future__ import annotations

import argparse
import re

import torch

from flowkit.errors import FlowkitError
from flowkit.images.dpi import LEAST
from flowkit.images.dpi import MOST as MOST_DPI
from flowkit.recipe import import_modules

MOST = 2**31 - 1  # what C libraries behind these options can count
MOST_THREADS = 1024
MOST_BYTES = 10**15
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([kmgt])(i)?b", re.IGNORECASE)


def add_set(parser: argparse.ArgumentParser) -> None:
    """Add `--set KEY=VALUE`, for `read_recipe`'s overrides."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of the recipe, such as vars.steps=8; may be repeated",
    )


def add_extends(parser: argparse.ArgumentParser) -> None:
    """Add `--extends-anywhere`, for `read_recipe`."""
    parser.add_argument(
        "--extends-anywhere", action="store_true", help="let the recipe extend files outside of its folder"
    )


def add_import(parser: argparse.ArgumentParser) -> None:
    """Add `--import MODULE`; `prepare` loads the module."""
    parser.add_argument(
        "--import",
        action="append",
        default=[],
        dest="modules",
        metavar="MODULE",
        help="load custom layers from a module or a .py file, which runs its code",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add `--threads N`; `prepare` sets it."""
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="number of processor threads (default: PyTorch's)"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device NAME`, for `flowkit.device.usable`."""
    parser.add_argument("--device", default="cpu", help="device: cpu (default), cuda, cuda:1, ...")


def prepare(args: argparse.Namespace) -> None:
    """Load the requested modules and set the number of threads.

    Raises:
        FlowkitError: a module cannot be imported, or there are too many threads.
    """
    import_modules(getattr(args, "modules", ()))
    threads = getattr(args, "threads", None)
    if threads is not None:
        if threads > MOST_THREADS:
            raise FlowkitError(f"--threads must be {MOST_THREADS} or less, got {threads}")
        torch.set_num_threads(threads)


def positive(text: str) -> int:
    """Read a whole number from 1."""
    return _whole(text, 1)


def natural(text: str) -> int:
    """Read a whole number from 0."""
    return _whole(text, 0)


def dpi(text: str) -> float:
    """Read a number of dots per inch."""
    value = float(text)
    if not LEAST <= value <= MOST_DPI:
        raise argparse.ArgumentTypeError(f"expected {LEAST:g} to {MOST_DPI:,.0f}, got {text}")
    return value


def _whole(text: str, least: int) -> int:
    value = int(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"expected {least} or more, got {value}")
    if value > MOST:
        raise argparse.ArgumentTypeError(f"expected {MOST} or less, got {value}")
    return value


def size(text: str) -> int:
    """Read a number of bytes with a unit, kB to TB or KiB to TiB.

    >>> size("2GB"), size("1.5 GiB"), size("800mb")
    (2000000000, 1610612736, 800000000)
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f'expected a size such as 800MB, 2GB or 1.5GiB, got "{text}"')
    number, prefix, binary = found.groups()
    value = float(number) * (1024 if binary else 1000) ** " kmgt".index(prefix.lower())
    if value < 1 or value > MOST_BYTES:
        raise argparse.ArgumentTypeError(f'expected a size from 1kB to 1000TB, got "{text}"')
    return int(value)


# argparse names a converter in its own message when int() refuses the text
positive.__name__ = natural.__name__ = "whole number"
