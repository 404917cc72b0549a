"""`report.jsonl`: what became of every page, a line each, and so what need not be done again."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from flowkit.batch.plan import RESULT, Document, Sheet
from flowkit.batch.record import Record, WrittenFile
from flowkit.batch.storage import Storage
from flowkit.errors import ImageError, OutputError
from flowkit.files import check_no_link

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

REPORT = "report.jsonl"

Records = dict[tuple[str, int | None], Record]
"""Records by their output and page."""


class Report:
    """The report of the runs that wrote to one folder.

    Lines are appended, each in one piece, and the last line about a page counts. So the report is right even
    if a run is killed. Lines that flowkit did not write are skipped, and so is a line that was cut short by a
    full disk or a power failure.

    Args:
        folder: the folder of the results, which outputs are relative to.
        storage: of all files.
        path: the report; None: nothing is known, and nothing is written down.
        file: its descriptor.
        before: whether there was a report when this run began.
        verify: read results to the last byte before they count as those that were written.

    Attributes:
        records: the last one about each result and page.
        notes: on lines that were skipped, one sentence each.
    """

    def __init__(
        self,
        folder: Path,
        storage: Storage,
        path: Path | None = None,
        file: int | None = None,
        *,
        before: bool = False,
        verify: bool = False,
    ) -> None:
        self.verify = verify
        self.notes: list[str] = []
        self.folder = folder
        self.storage = storage
        self.path = path
        self.before = before
        self._file = file
        self.records: Records = {}
        if file is not None:
            self._read(file)

    def is_done(self, sheet: Sheet, settings: Mapping[str, Any], *, bound: bool) -> bool:
        """Tell whether a page was made from this input with these settings, and its files are as written.

        Args:
            sheet: the page.
            settings: what results depend on.
            bound: the page is in its document, and need not wait to be bound.
        """
        record = self.records.get(self.key(sheet))
        if record is None:
            return False
        files = {kind: path for kind, path in sheet.files.items() if not (bound and kind == RESULT)}
        if record.status == "kept":
            return all(path.is_file() for path in files.values())
        return (
            record.status == "done"
            and settings.items() <= record.settings.items()
            and self._is_same(record, sheet.source)
            and all(self._holds(record.files.get(kind), path) for kind, path in files.items())
        )

    def is_bound(self, document: Document) -> bool:
        """Tell whether a document was written of the pages that are done, and is as it was written."""
        if document.out is None:
            return False
        record = self.records.get((self.output(document.out), None))
        if record is None:
            return False
        if record.status == "kept":
            return document.out.is_file()
        return record.status == "bound" and self._holds(record.files.get(RESULT), document.out)

    def add(self, sheet: Sheet, values: Mapping[str, Any]) -> Record:
        """Append a page's line; return what was written."""
        output, page = self.key(sheet)
        return self._write(output, page, sheet, sheet.files, values)

    def add_document(self, document: Document, values: Mapping[str, Any]) -> Record:
        """Append the line of a document that pages were bound into; return what was written."""
        assert document.out is not None
        return self._write(
            self.output(document.out), None, document.sheets[0], {RESULT: document.out}, values
        )

    def add_gone(self, record: Record, note: str) -> None:
        """Append that an input no longer has the page of this record."""
        record = replace(record, status="gone", notes=(note,))
        self.append(record)

    def append(self, record: Record) -> None:
        """Append a record as it is. Raises OutputError where the report cannot be written."""
        self._append(record.to_json() + "\n")
        _take(self.records, record)

    def _read(self, file: int) -> None:
        with open(file, "rb", closefd=False) as lines:
            text = lines.read().decode(errors="replace")
        self.records, skipped = records_of(text)
        if skipped:
            more = "" if len(skipped) == 1 else f", and so are {len(skipped) - 1} more"
            self.notes.append(
                f"{self.path}: line {skipped[0]} was not written by flowkit, and is skipped{more}"
            )
        if text and not text.endswith("\n"):
            self._append("\n")

    def _write(
        self,
        output: str,
        page: int | None,
        sheet: Sheet,
        paths: Mapping[str, Path],
        values: Mapping[str, Any],
    ) -> Record:
        files = {
            kind: {"path": self.storage.relative(paths[kind], self.folder), **file}
            for kind, file in values.get("files", {}).items()
        }
        record = Record.of({"input": sheet.input, "page": page, "output": output, **values, "files": files})
        self.append(record)
        return record

    def key(self, sheet: Sheet) -> tuple[str, int | None]:
        """Return a page's output and its number, as records have them."""
        return self.output(sheet.result), None if sheet.page is None else sheet.page + 1

    def output(self, path: Path) -> str:
        """Return a result's path, as records have it."""
        return self.storage.relative(path, self.folder)

    def _is_same(self, record: Record, path: Path) -> bool:
        """Return true if a file is the one of a record. An untouched file is not read again."""
        try:
            found = path.stat()
            if found.st_mtime_ns and (record.bytes, record.modified) == (found.st_size, found.st_mtime_ns):
                return True
            return record.sha256 == self.storage.digest(path)
        except (OSError, ImageError):
            return False

    def _holds(self, written: WrittenFile | None, path: Path) -> bool:
        """Return true if a file is the one that was written, by its size and, if wanted, all of its bytes."""
        try:
            if written is None or not path.is_file() or path.stat().st_size != written.bytes:
                return False
            return not self.verify or self.storage.digest(path) == written.sha256
        except (OSError, ImageError):
            return False

    def _append(self, text: str) -> None:
        if self._file is None:
            return
        data = text.encode()
        size = os.fstat(self._file).st_size
        try:
            if os.write(self._file, data) != len(data):
                os.ftruncate(self._file, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror or error})") from None


def records_of(text: str) -> tuple[Records, list[int]]:
    """Return the last record about each result and page of a report's text, and the lines that are none."""
    records: Records = {}
    skipped = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            if line:
                _take(records, Record.from_json(line))
        except ValueError:
            skipped.append(number)
    return records, skipped


def _take(records: Records, record: Record) -> None:
    records[record.output, record.page] = record
    if record.page is not None and record.status in ("done", "failed"):
        records.pop((record.output, None), None)  # a document is bound again if a page changed


@contextmanager
def opened(folder: Path, results: Path, storage: Storage, *, verify: bool = False) -> Iterator[Report]:
    """Open the report of a folder that is there, for one run at a time; see `Report`.

    Args:
        folder: that of the report.
        results: that of the results.
        storage: of all files.
        verify: see `Report`.

    Raises:
        OutputError: it cannot be written, is a symbolic link, or another run is using it.
    """
    path = folder / REPORT
    check_no_link(path)
    try:
        before = path.exists()
        # O_NOFOLLOW: nor where a link takes its place meanwhile
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OutputError(f"{path}: is not a regular file")
        _lock(file, folder)
        yield Report(results, storage, path, file, before=before, verify=verify)
    finally:
        os.close(file)


def _lock(file: int, folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"{folder}: another run is writing to this folder") from None
    except OSError:
        pass  # some network file systems have no locks
