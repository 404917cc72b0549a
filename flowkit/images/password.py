"""Passwords of PDF files, read from a named place: a password on a command line could be seen by others."""

from __future__ import annotations

import os
from pathlib import Path

from flowkit.errors import FlowkitError


def password_from(place: str) -> str:
    """Read a password from `file:PATH`, whose first line it is, or from `env:NAME`, an environment variable.

    Raises:
        FlowkitError: the place is named in another way, or there is none.
    """
    kind, _, name = place.partition(":")
    if kind == "env" and name:
        if name not in os.environ:
            raise FlowkitError(f"--pdf-password: there is no environment variable {name}")
        return os.environ[name]
    if kind == "file" and name:
        try:
            lines = Path(name).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FlowkitError(f"--pdf-password: {name}: cannot be read ({reason})") from None
        if not lines:
            raise FlowkitError(f"--pdf-password: {name}: the file is empty")
        return lines[0]
    # what was typed is not repeated: it may be the password
    raise FlowkitError("--pdf-password: expected file:PATH or env:NAME, where the password is to be read")
