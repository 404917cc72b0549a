"""Files that are written whole, or not at all; and that are on the disk before they have their name."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flowkit.errors import OutputError

DRAFTS = ".flowkit-*.tmp"
"""Glob for temporary files. A leftover means that the writing process was killed."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make an empty file beside `path`, which replaces it when the block ends without an error.

    Raises:
        OutputError: the file cannot be made, written or moved; what was at `path` is still there.
    """
    place = Path(os.path.realpath(path))  # a link stays a link, and what it points to is replaced
    draft = place.with_name(f".flowkit-{secrets.token_hex(8)}.tmp")
    try:
        # Not tempfile: its files can be read by their owner only.
        draft.open("xb").close()
        mode = draft.stat().st_mode
        yield draft
        draft.chmod(mode)  # the writer may have made a file of its own
        _sync(draft)  # after a power failure, a file of this name is the old one or the new one, never a part
        draft.replace(place)
        _sync_folder(place.parent)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], values: Mapping[str, Any]) -> None:
    """Write an object as JSON in UTF-8, whole or not at all. Raises OutputError, as `replacing`."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(values, ensure_ascii=False) + "\n", encoding="utf-8")


def check_no_link(path: Path) -> None:
    """Raise OutputError where a symbolic link has this name: what it points to is not flowkit's to write."""
    if path.is_symlink():
        raise OutputError(f"{path}: is a symbolic link, which is not followed; expected a file or nothing")


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Make a folder, and those above it, where they are not there. Raises OutputError where it cannot."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror or error})") from None


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # of file systems without it
                raise


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows and some file systems have no such thing
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
