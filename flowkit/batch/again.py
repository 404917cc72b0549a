"""One page of a finished batch: done again with other options, or accepted as it is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from flowkit.batch.file_identity import digest
from flowkit.batch.page_work import TaskOnPages, described
from flowkit.batch.plan import RESULT, Document, Sheet
from flowkit.batch.record import Record
from flowkit.batch.report import opened
from flowkit.batch.storage import Storage
from flowkit.batch.tasks import Progress, Task
from flowkit.errors import ImageError, OutputError
from flowkit.files import check_no_link, make_folder
from flowkit.flow import ConditionalFlow
from flowkit.images.multipage import replace_page


def do_again(folder: Path, sheet: Sheet, task: Task, flow: ConditionalFlow, progress: Progress) -> Record:
    """Do a page of a folder of this machine, whatever was there, and return its new record.

    A page that fails is a record too, and leaves the files as they were. A page of a document takes its place
    there, if it does not fail.

    Raises:
        ImageError: a page of a document cannot be done, or the document is not as it was written.
        OutputError: the page lies outside of the folder or its document is not written, the report cannot be
            written, or another run is using it.
        FlowkitError: an option of the task cannot be used.
    """
    settings, labels = described(task, flow)
    if sheet.document is not None and not sheet.document.is_file():
        name = sheet.document.name
        raise OutputError(f"{sheet.name}: {name} is not written yet; flowkit {settings['task']} does that")
    for path in (sheet.result, *sheet.files.values()):
        if not path.resolve().is_relative_to(folder.resolve()):
            raise OutputError(f"{path}: is not in the folder {folder}")
        check_no_link(path)
    make_folder(folder)
    with opened(folder, folder, Storage()) as report, _apart(sheet) as alone:
        said = TaskOnPages(task, flow, nullcontext)(alone, progress)
        if sheet.document is None:
            return report.add(sheet, {**labels, "settings": settings, **said})
        if said["status"] != "done":
            raise ImageError(said["error"])
        assert sheet.page is not None
        replace_page(sheet.document, sheet.page, alone.out)
        record = report.add(sheet, {**labels, "settings": settings, **said})
        file = {"bytes": sheet.document.stat().st_size, "sha256": digest(sheet.document)}
        document = Document((sheet,), sheet.document, sheet.document)
        bound = {"settings": settings, "status": "bound", "files": {RESULT: file}}
        report.add_document(document, {**labels, **bound})
        return record


@contextmanager
def _apart(sheet: Sheet) -> Iterator[Sheet]:
    """Give a page of a document a file of its own, for as long as it takes."""
    if sheet.document is None:
        yield sheet
        return
    folder = sheet.document.parent
    with tempfile.TemporaryDirectory(prefix=".flowkit-", suffix=".tmp", dir=folder) as scratch:
        yield replace(sheet, out=Path(scratch, f"page{sheet.document.suffix}"))


def accept(folder: Path, key: tuple[str, int | None], *, accepted: bool) -> Record:
    """Write down that a page is to stay as it is, or no longer; later runs leave out pages that stay.

    Raises:
        OutputError: there is no result of this page, or the report cannot be written.
    """
    with opened(folder, folder, Storage()) as report:
        record = report.records.get(key)
        if record is None or record.status not in ("done", "kept"):
            raise OutputError(f"{key[0]}: has no result that could be accepted")
        if not accepted and record.page is not None and (key[0], None) in report.records:
            raise OutputError(f"{record.name}: is a page of {key[0]}, which would be written again")
        record = replace(record, status="kept" if accepted else "done")
        report.append(record)
        return record
