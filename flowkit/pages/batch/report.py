"""`report.jsonl`: what became of every page, a line each, and so what need not be done again."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from flowkit.errors import OutputError
from flowkit.pages.batch.identity import is_same
from flowkit.pages.batch.plan import Sheet

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

REPORT = "report.jsonl"
Record = dict[str, Any]


class Report:
    """The report of the runs that wrote to one folder.

    Lines are appended, each in one piece, and the last line about a page counts. So a run may be killed at
    any moment: what stands there is true. One that a full disk or a power failure cut short is passed over.

    Args:
        folder: where results go.
        before: whether there was a report when this run began.
    """

    def __init__(self, folder: Path, file: int, before: bool) -> None:
        self.folder = folder
        self.before = before
        self._file = file
        self.path = folder / REPORT
        self.records: dict[tuple[str, int | None], Record] = {}
        text = self.path.read_text(errors="replace")
        for line in text.splitlines():
            with suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict):
                    self.records[record.get("output", ""), record.get("page")] = record
        if text and not text.endswith("\n"):
            self._append("\n")

    def says_done(self, sheet: Sheet, settings: Mapping[str, Any]) -> bool:
        """Whether a page was made from this input with these settings, or is none of flowkit's (`kept`)."""
        record = self.records.get(self._key(sheet), {})
        if record.get("status") == "kept":
            return True
        wanted = {"status": "done", **settings}
        return all(record.get(key) == value for key, value in wanted.items()) and is_same(
            record, sheet.source
        )

    def add(self, sheet: Sheet, record: Mapping[str, Any]) -> Record:
        """Append a page's line; what was written."""
        output, page = self._key(sheet)
        line: Record = {"input": str(sheet.source), "page": page, "output": output, **record}
        self._append(json.dumps(line) + "\n")
        self.records[output, page] = line
        return line

    def _key(self, sheet: Sheet) -> tuple[str, int | None]:
        output = os.path.relpath(sheet.result, self.folder)
        return output, None if sheet.page is None else sheet.page + 1

    def _append(self, text: str) -> None:
        data = text.encode()
        size = os.fstat(self._file).st_size
        try:
            if os.write(self._file, data) != len(data):
                os.ftruncate(self._file, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror or error})") from None


@contextmanager
def opened(folder: Path) -> Iterator[Report]:
    """The report of a folder that is there, for one run at a time.

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
        yield Report(folder, file, before)
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
