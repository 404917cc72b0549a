"""Parsers that declare their arguments when they are first used: a verb's imports wait for its call."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


class LazyParser(argparse.ArgumentParser):
    """A parser that declares its arguments when it parses for the first time.

    Args:
        declare: adds the arguments to the parser.
        options: those of `argparse.ArgumentParser`.
    """

    def __init__(
        self, *, declare: Callable[[argparse.ArgumentParser], None] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._declare = declare

    def declared(self) -> LazyParser:
        """Return the parser with all its arguments."""
        if self._declare is not None:
            declare, self._declare = self._declare, None
            declare(self)
        return self

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Declare the arguments, then parse; a parser of verbs calls this of the verb's parser."""
        self.declared()
        return super().parse_known_args(args, namespace)
