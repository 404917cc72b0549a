"""Temporary folders of runs. That of a killed run is removed by the next run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_PREFIX = "flowkit-run-"
_LOCK = "lock"


def scratch() -> tuple[Path, Callable[[], None]]:
    """Make a folder; return its absolute path without links, and a function that removes it."""
    if fcntl is not None:
        for old in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
            with suppress(OSError):
                _remove_if_left(old, fcntl)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    lock, draft = tempfile.mkstemp(dir=folder)
    if fcntl is not None:
        with suppress(OSError):  # some file systems have no locks, and then it is never removed
            fcntl.flock(lock, fcntl.LOCK_EX)
            Path(draft).rename(folder / _LOCK)  # only now: what has this name is locked, or left

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)

    return folder, remove


def _remove_if_left(folder: Path, fcntl: ModuleType) -> None:
    if folder.lstat().st_uid != os.getuid():
        return
    with (folder / _LOCK).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
