"""What an input is recognised by when a run comes back to it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def identity(path: Path) -> dict[str, Any]:
    """A file's SHA-256, its size in bytes, and when it was changed, in ns since 1970.

    Raises:
        OSError: it cannot be read.
    """
    stat = path.stat()
    return {
        "sha256": _digest(path, stat.st_size, stat.st_mtime_ns),
        "bytes": stat.st_size,
        "modified": stat.st_mtime_ns,
    }


def is_same(record: Mapping[str, Any], path: Path) -> bool:
    """Whether a file is the one that a record is about. One that was not touched is not read again."""
    try:
        stat = path.stat()
        if (record.get("bytes"), record.get("modified")) == (stat.st_size, stat.st_mtime_ns):
            return True
        return bool(record.get("sha256") == identity(path)["sha256"])
    except OSError:
        return False


@functools.lru_cache(maxsize=4)  # for the many pages of one document
def _digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
