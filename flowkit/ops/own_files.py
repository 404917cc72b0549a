"""Files that only the user can have written, in folders that only the user can write to.

A library runs code as soon as it is loaded, before its results can be checked. So it must be the user's own
file in the user's own folder. The open file is checked, not the file to which a path leads.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowkit.errors import KernelError

OTHERS = stat.S_IWGRP | stat.S_IWOTH
HAS_OWNERS = hasattr(os, "geteuid")  # not on Windows, where a home folder is its user's alone


def check_folder(folder: Path) -> None:
    """Refuse a folder of another user, or one that others may write to.

    Raises:
        KernelError: it is; the message says what to do.
        OSError: it cannot be opened.
    """
    if HAS_OWNERS:
        with _descriptor(folder, os.O_DIRECTORY) as opened:
            _check(opened, folder, "cache folder")


@contextmanager
def own_file(path: Path) -> Iterator[int]:
    """Open a regular file of the user's own, in a folder of the user's own; links are not followed.

    Raises:
        KernelError: another could have written it; the message says what to do.
        OSError: it cannot be opened.
    """
    if not HAS_OWNERS:
        with path.open("rb") as file:
            yield file.fileno()
        return
    with _descriptor(path.parent, os.O_DIRECTORY) as folder:
        _check(folder, path.parent, "cache folder")
        with _descriptor(path.name, os.O_NOFOLLOW | os.O_NONBLOCK, inside=folder) as opened:
            _check(opened, path, "library")
            yield opened


def read_all(descriptor: int) -> bytes:
    """Read an open file from its beginning, and leave it open."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return file.read()


@contextmanager
def _descriptor(path: str | Path, flags: int, inside: int | None = None) -> Iterator[int]:
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=inside)
    try:
        yield opened
    finally:
        os.close(opened)


def _check(descriptor: int, path: Path, what: str) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISDIR(found.st_mode) and not stat.S_ISREG(found.st_mode):
        raise KernelError(f"{what} {path} is no regular file")
    if found.st_uid != os.geteuid():
        raise KernelError(
            f"{what} {path} belongs to user {found.st_uid}, expected {os.geteuid()}; set FLOWKIT_CACHE to a "
            "folder of your own"
        )
    if found.st_mode & OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise KernelError(f"{what} {path} can be written by others (mode {mode:o}); run: chmod go-w '{path}'")
