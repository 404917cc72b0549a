"""Files at URLs, through fsspec: listed, fetched, put there whole. Errors are one line that names the URL."""

from __future__ import annotations

import importlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from flowkit.errors import FlowkitError, ImageError, OutputError, suggest

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+._]*)((?:::[^/]*)?)://(/*)(.*)", re.DOTALL)

# Stores that show a file only when all of it has arrived. Elsewhere it is written under another name and
# renamed; a store that has no renaming copies it within itself.
_WHOLE = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az")

# What stores call the time of the last change; the last one is for those whose files never change.
_MODIFIED = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")

_BLOCK = 2**16  # bytes that are read at a time of a file that is not read as a whole


@dataclass(frozen=True)
class Entry:
    """A store's information about a file.

    Attributes:
        size: in bytes; 0 also where the store does not say.
        modified: in ns since 1970, to the microsecond; 0: the store does not say.
        folder: it is one.
    """

    size: int
    modified: int
    folder: bool


def is_url(text: str) -> bool:
    """Return true if a place is a URL.

    >>> is_url("s3://archive/scans"), is_url("scans/1.png")
    (True, False)
    """
    return _URL.match(text) is not None


def split(url: str) -> tuple[str, str]:
    """Split a URL after its protocol and all slashes.

    Raises:
        FlowkitError: it holds a password, several URLs, or a part that is empty, . or ..

    >>> split("s3://archive/scans/"), split("file:///home/scans")
    (('s3://', 'archive/scans/'), ('file:///', 'home/scans'))
    """
    found = _URL.fullmatch(url)
    assert found is not None
    protocol, chained, slashes, rest = found.groups()
    host, *parts = rest.removesuffix("/").split("/")
    if "@" in host and ":" in host.rpartition("@")[0]:
        raise FlowkitError(
            f"{protocol}://...@{host.rpartition('@')[2]}: holds a password, which would stand in messages "
            "and in the report; expected it in fsspec's configuration or in the environment"
        )
    if chained or "::" in rest:
        raise FlowkitError(f"{url}: several URLs in one, expected one")
    if not {"", ".", ".."}.isdisjoint(parts) or host in (".", ".."):
        raise FlowkitError(f"{url}: has a part that is empty, . or .., expected names")
    if protocol in ("file", "local") and not slashes:
        raise FlowkitError(f"{url}: expected {protocol}:///, and a path from the root")
    return f"{protocol}://{slashes}", rest


def bare(text: str) -> str:
    """Remove the protocol of a place, if it has one.

    >>> bare("s3://archive/1.png"), bare("/scans/1.png")
    ('archive/1.png', '/scans/1.png')
    """
    found = _URL.fullmatch(text)
    return text if found is None else found[4]


def join(url: str, place: str) -> str:
    """Join a URL and a place below it.

    >>> join("memory://", "ink/1.png"), join("s3://archive", "1.png")
    ('memory://ink/1.png', 's3://archive/1.png')
    """
    return url + place if url.endswith("/") else f"{url}/{place}"


def entry(url: str) -> Entry | None:
    """Return what is at a URL, or None for nothing. Raises ImageError if the store cannot tell."""
    with _told(url, "cannot be read", ImageError):
        fs, place = _store(url)
        fs.invalidate_cache(place)
        try:
            return _entry(fs.info(place))
        except (FileNotFoundError, NotADirectoryError):
            return None


def listing(url: str) -> Iterator[tuple[str, Entry]]:
    """Yield every file below a URL, by its place there. Raises ImageError where it cannot be read."""
    with _told(url, "the folder cannot be read", ImageError):
        fs, place = _store(url)
        fs.invalidate_cache(place)
        found = fs.find(place, detail=True)
    for name, info in found.items():
        below = name.removeprefix(place.rstrip("/")).lstrip("/")
        if below and info.get("type") != "directory":
            yield below, _entry(info)


def fetch(url: str, path: Path) -> Entry:
    """Copy a file from a URL, with the time of its last change; what the store says of it.

    Raises:
        ImageError: it is not there, or cannot be read.
    """
    with _told(url, "cannot be read", ImageError):
        fs, place = _store(url)
        fs.invalidate_cache(place)
        found = _entry(fs.info(place))
        if found.folder:
            raise ImageError(f"{url}: is a folder, expected a file")
        fs.get_file(place, str(path))
        os.utime(path, ns=(found.modified, found.modified))
    return found


@contextmanager
def opened(url: str) -> Iterator[BinaryIO]:
    """Open a file at a URL; only what is read is fetched. Raises ImageError where it cannot be read."""
    with _told(url, "cannot be read", ImageError):
        fs, place = _store(url)
        with fs.open(place, "rb", block_size=_BLOCK) as file:
            yield file


def put(path: Path, url: str) -> None:
    """Copy a file to a URL, where it takes the place of what is there when all of it has arrived.

    Raises:
        OutputError: it cannot be written; what was there still is.
    """
    with _told(url, "cannot be written", OutputError):
        fs, place = _store(url)
        if url.startswith(tuple(f"{protocol}://" for protocol in _WHOLE)):
            fs.put_file(str(path), place)
            return
        folder = place.rpartition("/")[0]
        fs.makedirs(folder, exist_ok=True)
        if fs.isdir(place):
            raise IsADirectoryError("is a folder")
        draft = f"{folder}/.flowkit-{secrets.token_hex(8)}.tmp"  # one of `flowkit.files.DRAFTS`
        try:
            fs.put_file(str(path), draft)
            _rename(fs, draft, place)
        except BaseException:
            with suppress(Exception):
                fs.rm_file(draft)
            raise


def remove(url: str, *, root: str | None = None) -> None:
    """Remove a file, or a folder with all that is in it, where it is there.

    Args:
        url: of what.
        root: a folder above; those between that are left empty go, too. Stores of objects have none.

    Raises:
        OutputError: it cannot be removed.
    """
    with _told(url, "cannot be removed", OutputError):
        fs, place = _store(url)
        fs.invalidate_cache(place)
        with suppress(FileNotFoundError):
            fs.rm(place, recursive=True)
        if root is None or url.startswith(tuple(f"{protocol}://" for protocol in _WHOLE)):
            return
        top = _store(root)[1].rstrip("/")
        with suppress(Exception):  # until one that is not empty
            while (place := place.rpartition("/")[0]).startswith(f"{top}/"):
                fs.rmdir(place)


def true_name(url: str) -> str:
    """Return one name for a file, however its URL is written; for `file:///...` the path without links."""
    fs, place = _store(url)
    return os.path.realpath(place) if "file" in fs.protocol else f"{hash(fs)}:{place}"


def _rename(fs: Any, draft: str, place: str) -> None:
    try:
        fs.mv(draft, place)
    except Exception:
        if not fs.exists(place):
            raise
        fs.rm_file(place)  # some stores do not rename over a file
        fs.mv(draft, place)


def _store(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path of the place in it."""
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError:
        raise FlowkitError(f"{url}: needs fsspec: pip install 'flowkit-nf[remote]'") from None
    protocol = url.partition("://")[0]
    known = fsspec.available_protocols()
    if protocol not in known:
        raise FlowkitError(f'{url}: unknown protocol "{protocol}"; {suggest(protocol, known)}')
    fs, place = fsspec.core.url_to_fs(url)
    return fs, str(place)


def _entry(info: Mapping[str, Any]) -> Entry:
    modified = next((_ns(info[key]) for key in _MODIFIED if info.get(key) is not None), 0)
    return Entry(int(info.get("size") or 0), modified, info.get("type") == "directory")


def _ns(value: Any) -> int:
    """Return nanoseconds since 1970 of seconds, of a time, or of one that is written out."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        return max(0, round(float(value) * 1e6)) * 1000
    except (TypeError, ValueError):
        return 0


@contextmanager
def _told(url: str, what: str, kind: type[FlowkitError]) -> Iterator[None]:
    """Turn whatever a store raises into an error of one line that names the URL."""
    try:
        yield
    except FlowkitError as error:
        raise kind(str(error)) from None
    except ImportError as error:  # of what speaks the protocol: "Install s3fs to access S3"
        raise kind(f"{url}: {error}") from None
    except Exception as error:  # every store has its own
        if isinstance(error, FileNotFoundError) and kind is ImageError:
            raise kind(f"{url}: no such file") from None
        why = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        raise kind(f"{url}: {what} ({' '.join(why.split())})") from None
