"""The inputs of a batch: files, folders, patterns and lists become files, each with its place in the tree."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from flowkit.batch.storage import Storage
from flowkit.images.reader import SUFFIXES

LIST = "-"
"""The input that stands for a list of paths on standard input."""


@dataclass(frozen=True)
class Found:
    """A file to work on.

    Attributes:
        source: the file, as messages and the report call it.
        place: where its result belongs below the output folder, but for the suffix.
    """

    source: Path
    place: PurePath


def find(
    arguments: Iterable[str],
    *,
    stdin: Callable[[], bytes],
    leave_out: Collection[Path] = (),
    storage: Storage | None = None,
) -> tuple[list[Found], list[str]]:
    """Find the files that arguments stand for, each once, in their order; and problems, one line each.

    A file is taken whatever it is called, and its place is its name. A folder gives the images at or below
    it, sorted, each with its place in the tree; hidden ones are left out, and links are followed unless they
    lead in a circle. A pattern (*, ?, [...], ** for folders at any depth) gives the images that it matches,
    in the tree that begins at its first such character. `-` is a list of paths, one a line or each ended by
    NUL, whose places are as listed, without a protocol, a leading / or ..

    Args:
        arguments: as typed.
        stdin: reads the list.
        leave_out: folders that are not looked into: those for results.
        storage: of the files that are listed.
    """
    search = _Search({os.path.realpath(folder) for folder in leave_out}, storage or Storage())
    found: dict[str, Found] = {}
    for argument in arguments:
        if argument == LIST:
            candidates = search.listed(stdin())
        elif _is_pattern(argument):
            candidates = search.matching(argument)
        else:
            path = Path(argument)
            candidates = search.below(path, PurePath()) if _is_folder(path) else iter([_by_name(path)])
        for one in candidates:
            found.setdefault(os.path.normpath(one.source.absolute()), one)
    return list(found.values()), search.problems


def is_many(arguments: list[str]) -> bool:
    """Return true if arguments may stand for any number of files, rather than for one."""
    [first, *more] = arguments
    return bool(more) or first == LIST or _is_folder(Path(first)) or _is_pattern(first)


def _is_pattern(argument: str) -> bool:
    return glob.has_magic(argument) and not os.path.lexists(argument)


def is_there(path: Path) -> bool:
    """Return true if there is such a file or folder; false for impossible names."""
    try:
        return path.exists()
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    return is_there(path) and path.is_dir()


def _by_name(path: Path) -> Found:
    return Found(path, PurePath(path.name))


class _Search:
    def __init__(self, leave_out: set[str], storage: Storage) -> None:
        self.leave_out = leave_out
        self.storage = storage
        self.problems: list[str] = []

    def listed(self, data: bytes) -> Iterator[Found]:
        lines = data.split(b"\0") if b"\0" in data else data.splitlines()
        texts = [os.fsdecode(line) for line in lines if line]
        if not texts:
            self.problems.append(f"{LIST}: no paths on standard input")
        for text in texts:
            path = Path(self.storage.input(text))
            listed = Path(os.path.normpath(self.storage.path_in_store(text)))
            place = PurePath(*(part for part in listed.parts if part not in (listed.anchor, os.pardir)))
            if _is_folder(path):
                yield from self.below(path, place)
            else:
                yield Found(path, place)

    def matching(self, pattern: str) -> Iterator[Found]:
        parts = Path(pattern).parts
        fixed = Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])
        any_found = False
        matches = glob.iglob(pattern, recursive=True)  # noqa: PTH207  # it may be absolute
        for match in sorted(map(Path, matches)):
            place = match.relative_to(fixed)
            if _is_folder(match):
                inside = list(self.below(match, place, empty=True))
                any_found = any_found or bool(inside)
                yield from inside
            elif is_image(match):
                any_found = True
                yield Found(match, place)
        if not any_found:
            self.problems.append(f"{pattern}: no such file, and no image that it matches as a pattern")

    def below(self, folder: Path, place: PurePath, *, empty: bool = False) -> Iterator[Found]:
        before = len(self.problems)
        if os.path.realpath(folder) in self.leave_out:
            self.problems.append(f"{folder}: results go into this folder, expected another one for input")
        files = list(self._walk(folder, ()))
        if not files and not empty and len(self.problems) == before:
            self.problems.append(f"{folder}: no images in this folder")
        for file in files:
            yield Found(file, place / file.relative_to(folder))

    def _walk(self, folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
        real = os.path.realpath(folder)
        if real in above or real in self.leave_out:
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.problems.append(f"{folder}: the folder cannot be read ({error.strerror or error})")
            return
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith("."):
                continue
            if _is_folder(path):
                yield from self._walk(path, (*above, real))
            elif is_image(path):
                yield path


def is_image(path: Path) -> bool:
    """Return true if a file is named like an image."""
    return path.suffix.lower() in SUFFIXES
