"""`report.jsonl`: what became of every page, a line each, and so what need not be done again."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from flowkit.batch.file_identity import is_same
from flowkit.batch.plan import Sheet
from flowkit.errors import OutputError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

REPORT = "report.jsonl"
Record = dict[str, Any]
IsSame = Callable[[Record, Path], bool]


class Report:
    """The report of the runs that wrote to one folder.

    Lines are appended, each in one piece, and the last line about a page counts. So a run may be killed at
    any moment: what stands there is true. One that a full disk or a power failure cut short is passed over.

    Args:
        folder: where results go.
        before: whether there was a report when this run began.
        named: what the report calls a file, and what it says of an error.
        same: see `flowkit.batch.file_identity.is_same`.
    """

    def __init__(
        self, folder: Path, file: int, before: bool, *, named: Callable[[str], str], same: IsSame
    ) -> None:
        self.folder = folder
        self.before = before
        self.named = named
        self.same = same
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
        alike = all(record.get(key) == value for key, value in wanted.items())
        return alike and self.same(record, sheet.source)

    def add(self, sheet: Sheet, record: Mapping[str, Any]) -> Record:
        """Append a page's line; what was written."""
        output, page = self._key(sheet)
        line: Record = {"input": self.named(str(sheet.source)), "page": page, "output": output, **record}
        if "error" in line:
            line["error"] = self.named(line["error"])
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
def opened(folder: Path, *, named: Callable[[str], str] = str, same: IsSame = is_same) -> Iterator[Report]:
    """The report of a folder that is there, for one run at a time; see `Report`.

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
        yield Report(folder, file, before, named=named, same=same)
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
