"""The storage of a batch: where its files are, and what has to be done to read and write them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import TracebackType

from flowkit.batch.file_identity import digest
from flowkit.batch.plan import Document, Sheet
from flowkit.errors import ImageError
from flowkit.images.reader import count_pages
from flowkit.images.writer import check_folder

Staging = Callable[[Sheet], AbstractContextManager[Sheet]]
"""A function that gives a page with local files for a block, and then stores its results."""


class Storage:
    """The files of this machine, read and written where they are.

    A subclass may keep files elsewhere. It gives a local path for each of them, with which a batch is
    planned. As a context manager it rewrites errors, so that they name files as the user did.

    Attributes:
        problems: inputs that cannot be worked on, a line each, after `input`.
    """

    problems: Sequence[str] = ()

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        pass

    def input(self, text: str) -> str:
        """Return the path, or the pattern of paths, of an input that may be a file, a folder or a pattern."""
        return text

    def path_in_store(self, text: str) -> str:
        """Return the path of an input within the store that holds it."""
        return text

    def output(self, text: str) -> Path:
        """Return the path of a place for results, a file or a folder, and of all that is at or below it."""
        return Path(text)

    def named(self, text: str) -> str:
        """Return a path, or a message with some in it, with files as their user named them."""
        return text

    def page_counts(self, sources: Iterable[Path], pdf_password: str | None = None) -> dict[Path, int]:
        """Count the pages of every source; of one that cannot be read 1, whose reading fails and says why."""
        return {source: self._count(source, pdf_password) for source in sources}

    def true_name(self, path: Path) -> str:
        """Return one name for a file, however its path is written."""
        return os.path.realpath(path)

    def check_folder(self, folder: Path) -> None:
        """Raise OutputError unless a file can be made in a folder, or where that would be made."""
        check_folder(_nearest(folder))

    def tells_case(self, folder: Path) -> bool:
        """Return true if A.png and a.png are two files in a folder that can be written."""
        with tempfile.NamedTemporaryFile(prefix=".flowkit-case-", dir=_nearest(folder)) as file:
            return not Path(file.name).with_name(Path(file.name).name.upper()).exists()

    def relative(self, path: Path, folder: Path) -> str:
        """Return a path relative to a folder; the whole of it where there is no such thing."""
        try:
            return os.path.relpath(path, folder)
        except ValueError:  # on another drive
            return str(path)

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file. Raises OSError or ImageError where it cannot be read."""
        return digest(path)

    def fetched(self, name: str) -> AbstractContextManager[Path]:
        """Give a local copy of a file for the block. Raises ImageError where it cannot be had."""
        return nullcontext(Path(name))

    def staging(self) -> Staging:
        """Return a `Staging`, which is sent to every process that works on pages."""
        return nullcontext

    def put(self, path: Path) -> None:
        """Move a written file to its place in the storage. Raises OutputError where that fails."""

    def reporting(self, report: Path) -> AbstractContextManager[None]:
        """Keep the report in the storage up to date while the block appends to it."""
        return nullcontext()

    def binding(self, document: Document) -> AbstractContextManager[None]:
        """Give the pages of a document for the block to bind; store the document that it writes.

        Raises:
            ImageError: a page cannot be read.
            OutputError: the document cannot be written.
        """
        return nullcontext()

    def forget(self, document: Document) -> None:
        """Remove the pages that wait to be bound into a document, and folders that this leaves empty."""
        shutil.rmtree(document.parts, ignore_errors=True)
        with suppress(OSError):
            for folder in document.parts.parents:
                if folder == document.folder:
                    break
                folder.rmdir()  # until one that is not empty

    def _count(self, source: Path, pdf_password: str | None) -> int:
        try:
            return count_pages(source, pdf_password)
        except ImageError:
            return 1


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest folder above it that exists."""
    return next((path for path in (folder, *folder.parents) if path.exists()), folder)
