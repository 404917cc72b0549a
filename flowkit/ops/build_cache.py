"""The cache of compiled libraries, with protection from wrong, stale or damaged files.

A file is called `<library>-<key>-<digest>.so`. The key says what it was made from, so that a changed
source, flag or torch asks for another file; the digest is of the file itself, so that what a full disk or a
killed copy left is never loaded. Folder and file must be the user's own, see `own_files`. Nothing is locked:
two processes that build at once each put a whole file in place.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flowkit.errors import KernelError
from flowkit.ops.own_files import check_folder, own_file, read_all

DIGITS = 16
FORGOTTEN = 24 * 3600  # seconds after which a build folder was left by a process that was killed


def digest(*parts: str | bytes) -> str:
    """Return sixteen hexadecimal digits of the SHA-256 of several parts; their boundaries matter."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.hexdigest()[:DIGITS]


def folder() -> Path:
    """Return `$FLOWKIT_CACHE`, or `flowkit` in `$XDG_CACHE_HOME` (by default `~/.cache`).

    Raises:
        KernelError: none of them is set, and the user has no home.
    """
    if own := os.environ.get("FLOWKIT_CACHE"):
        return Path(own).expanduser().absolute()
    try:
        # the specification of XDG: a relative path is invalid, and ignored
        shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return (shared if shared.is_absolute() else Path.home() / ".cache") / "flowkit"
    except RuntimeError:
        raise KernelError("no home folder for the cache; set FLOWKIT_CACHE to a folder") from None


def find(name: str) -> Path | None:
    """Return the undamaged library of that name (`<library>-<key>`), if there is one.

    Raises:
        KernelError: there is one that others could have written.
    """
    for path in sorted(folder().glob(f"{name}-*.so")):
        with suppress(OSError), own_file(path) as opened:
            if _whole(path, opened):
                return path
    return None


def load(path: Path) -> ctypes.CDLL:
    """Load a library of the cache: the very file that was checked, whatever its path leads to by now.

    Raises:
        KernelError: others could have written it.
        OSError: it is damaged, or cannot be loaded.
    """
    with own_file(path) as opened:
        if not _whole(path, opened):
            raise OSError("it is damaged")
        kept = os.dup(opened)
        descriptor = Path(f"/proc/self/fd/{kept}")
        try:
            return ctypes.CDLL(str(descriptor if descriptor.exists() else path))
        except OSError:
            os.close(kept)  # else it stays open: the loader would take the next of its number for this one
            raise


def _whole(path: Path, opened: int) -> bool:
    name, _, of_content = path.stem.rpartition("-")
    return of_content == digest(read_all(opened)) and bool(name)


def damaged(name: str) -> bool:
    """Return true if there are libraries of that name, but only damaged ones."""
    return find(name) is None and any(folder().glob(f"{name}-*.so"))


def store(library: Path, name: str) -> Path:
    """Move a finished library into the cache, in one step; what was damaged under its name goes.

    Raises:
        OSError: it cannot be moved.
    """
    place = folder() / f"{name}-{digest(library.read_bytes())}.so"
    library.chmod(0o755)  # whatever the umask: a library that a group may write is not loaded
    library.replace(place)
    for old in folder().glob(f"{name}-*.so"):
        if old != place:
            with suppress(OSError):
                old.unlink()
    return place


@contextmanager
def build_folder() -> Iterator[Path]:
    """Make a private folder in the cache, from which a file can be moved in one step; remove it at the end.

    Raises:
        KernelError: the cache cannot be written, or is not the user's own.
    """
    cache = folder()
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_folder(cache)
        private = Path(tempfile.mkdtemp(prefix="build-", dir=cache))
    except OSError as error:
        why = error.strerror or error
        raise KernelError(f"cache folder {cache} cannot be written ({why}); set FLOWKIT_CACHE") from None
    _forget(cache)
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _forget(cache: Path) -> None:
    """Remove what killed builds left; a younger folder may be another process at work."""
    for left in cache.glob("build-*"):
        with suppress(OSError):
            if left.is_dir() and time.time() - left.stat().st_mtime > FORGOTTEN:
                shutil.rmtree(left, ignore_errors=True)
