"""The exceptions of flowkit.

Every message is one readable line (a recipe's problems: one per line) that names the file or option, what
was found and what was expected. The command line prints it as it is, without a traceback, and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FlowkitError(Exception):
    """The base of all errors of flowkit: catch it to catch them all.

    Its text is safe for a terminal, whatever the names in it hold: see `printable`.
    """

    def __str__(self) -> str:
        return printable_lines(super().__str__())


class RegistryError(FlowkitError):
    """A name that is not registered, or one that is registered twice."""


class RecipeError(FlowkitError):
    """A recipe that cannot be read, checked or built; the message lists all problems."""


class ShapeError(FlowkitError):
    """A tensor, or a shape while building, that a layer, an encoder or a flow cannot take."""


class TensorError(FlowkitError):
    """An input that is no tensor, or one of another dtype or device, out of range or not finite."""


class NotFiniteError(FlowkitError):
    """A result that is NaN or infinite, and so is no result."""


class CheckpointError(FlowkitError):
    """A weight file that is missing, damaged, made for another model, or not of finite numbers."""


class ImageError(FlowkitError):
    """An image that cannot be read, or is refused before it is decoded."""


class DataError(FlowkitError):
    """A training set with missing partners, unequal sizes or unreadable files."""


class KernelError(FlowkitError):
    """Compiled kernels that were required or requested, and are not available."""


class ExportError(FlowkitError):
    """A model, or a part of it, that cannot be exported."""


class MemoryLimitError(FlowkitError):
    """Work that does not fit into its memory limit."""


class OutputError(FlowkitError):
    """A place where results cannot be written."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the end of a "not known" message: the nearest known name, or all of them.

    >>> suggest("affine_injecter", ["actnorm", "affine_injector"])
    'did you mean "affine_injector"?'
    >>> suggest("wavelet", ["actnorm", "squeeze"])
    'known: actnorm, squeeze'
    """
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"known: {', '.join(options) or 'none'}"


def printable(text: str) -> str:
    """Return text on one line that any terminal can take: names of files may hold anything.

    >>> printable("a b\\nc\\udcff")
    'a b\\\\nc\\\\udcff'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """Return text of several lines, each as `printable` makes it."""
    return "\n".join(map(printable, text.split("\n")))
