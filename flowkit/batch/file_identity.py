"""The identity of files: by SHA-256, and by size and time where that tells enough."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def identity(path: Path) -> dict[str, Any]:
    """Return a file's SHA-256, its size in bytes, and when it was changed, in ns since 1970.

    Raises:
        OSError: it cannot be read.
    """
    stat = path.stat()
    return {
        "sha256": _digest(path, stat.st_size, stat.st_mtime_ns),
        "bytes": stat.st_size,
        "modified": stat.st_mtime_ns,
    }


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, all of which is read. Raises OSError where it cannot be."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_all(paths: Iterable[Path]) -> str:
    """Return a SHA-256 of several files and their names; those that are not there have their names alone."""
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path.name}\0{digest(path) if path.is_file() else ''}\0".encode())
    return found.hexdigest()


@functools.lru_cache(maxsize=4)  # for the many pages of one document
def _digest(path: Path, size: int, modified: int) -> str:
    return digest(path)
