"""`report.jsonl`: what became of every page, a line each, and so what need not be done again."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from flowkit.batch.plan import RESULT, Document, Sheet
from flowkit.batch.record import Record, WrittenFile
from flowkit.batch.storage import Storage
from flowkit.errors import ImageError, OutputError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

REPORT = "report.jsonl"


class Report:
    """The report of the runs that wrote to one folder.

    Lines are appended, each in one piece, and the last line about a page counts. So a run may be killed at
    any moment: what stands there is true. One that a full disk or a power failure cut short is passed over.

    Args:
        folder: the folder of the results, which outputs are relative to.
        storage: of all files.
        path: the report; None: nothing is known, and nothing is written down.
        file: its descriptor.
        before: whether there was a report when this run began.

    Attributes:
        records: the last one about each result and page.
    """

    def __init__(
        self,
        folder: Path,
        storage: Storage,
        path: Path | None = None,
        file: int | None = None,
        *,
        before: bool = False,
    ) -> None:
        self.folder = folder
        self.storage = storage
        self.path = path
        self.before = before
        self._file = file
        self.records: dict[tuple[str, int | None], Record] = {}
        if path is None:
            return
        text = path.read_text(errors="replace")
        for line in text.splitlines():
            try:
                self._take(Record.from_json(line))
            except ValueError:
                continue
        if text and not text.endswith("\n"):
            self._append("\n")

    def is_done(self, sheet: Sheet, settings: Mapping[str, Any], *, bound: bool) -> bool:
        """Tell whether a page was made from this input with these settings, and its files are as written.

        Args:
            sheet: the page.
            settings: what results depend on.
            bound: the page is in its document, and need not wait to be bound.
        """
        record = self.records.get(self._key(sheet))
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
        record = self.records.get((self._output(document.out), None))
        if record is None:
            return False
        if record.status == "kept":
            return document.out.is_file()
        return record.status == "bound" and self._holds(record.files.get(RESULT), document.out)

    def add(self, sheet: Sheet, values: Mapping[str, Any]) -> Record:
        """Append a page's line; return what was written."""
        output, page = self._key(sheet)
        return self._write(output, page, sheet, sheet.files, values)

    def add_document(self, document: Document, values: Mapping[str, Any]) -> Record:
        """Append the line of a document that pages were bound into; return what was written."""
        assert document.out is not None
        return self._write(
            self._output(document.out), None, document.sheets[0], {RESULT: document.out}, values
        )

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
        self._append(record.to_json() + "\n")
        self._take(record)
        return record

    def _take(self, record: Record) -> None:
        self.records[record.output, record.page] = record
        if record.page is not None and record.status in ("done", "failed"):
            self.records.pop((record.output, None), None)  # a document is bound anew where a page changed

    def _key(self, sheet: Sheet) -> tuple[str, int | None]:
        return self._output(sheet.result), None if sheet.page is None else sheet.page + 1

    def _output(self, path: Path) -> str:
        return self.storage.relative(path, self.folder)

    def _is_same(self, record: Record, path: Path) -> bool:
        """Whether a file is the one that a record is about. One that was not touched is not read again."""
        try:
            stat = path.stat()
            if stat.st_mtime_ns and (record.bytes, record.modified) == (stat.st_size, stat.st_mtime_ns):
                return True
            return record.sha256 == self.storage.digest(path)
        except (OSError, ImageError):
            return False

    def _holds(self, written: WrittenFile | None, path: Path) -> bool:
        """Whether a file is the one that was written."""
        try:
            return written is not None and path.is_file() and path.stat().st_size == written.bytes
        except OSError:
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


@contextmanager
def opened(folder: Path, results: Path, storage: Storage) -> Iterator[Report]:
    """Open the report of a folder that is there, for one run at a time; see `Report`.

    Args:
        folder: that of the report.
        results: that of the results.
        storage: of all files.

    Raises:
        OutputError: it cannot be written, or another run is using it.
    """
    path = folder / REPORT
    try:
        before = path.exists()
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from None
    try:
        _lock(file, folder)
        yield Report(results, storage, path, file, before=before)
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
