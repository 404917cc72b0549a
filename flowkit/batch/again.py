"""One page of a finished batch: done again with other options, or accepted as it is."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from flowkit.batch.page_work import TaskOnPages, described
from flowkit.batch.plan import Sheet
from flowkit.batch.record import Record
from flowkit.batch.report import opened
from flowkit.batch.storage import Storage
from flowkit.batch.tasks import Progress, Task
from flowkit.errors import OutputError
from flowkit.files import check_no_link, make_folder
from flowkit.flow import ConditionalFlow


def do_again(folder: Path, sheet: Sheet, task: Task, flow: ConditionalFlow, progress: Progress) -> Record:
    """Do a page of a folder of this machine, whatever was there, and return its new record.

    A page that fails is a record too, and leaves the files as they were.

    Raises:
        OutputError: the page is a part of a document or lies outside of the folder, the report cannot be
            written, or another run is using it.
        FlowkitError: an option of the task cannot be used.
    """
    if sheet.document is not None:
        raise OutputError(f"{sheet.name}: is a page of {sheet.document.name}, which is written as a whole")
    for path in sheet.files.values():
        if not path.resolve().is_relative_to(folder.resolve()):
            raise OutputError(f"{path}: is not in the folder {folder}")
        check_no_link(path)
    settings, labels = described(task, flow)
    make_folder(folder)
    with opened(folder, folder, Storage()) as report:
        said = TaskOnPages(task, flow, nullcontext)(sheet, progress)
        return report.add(sheet, {**labels, "settings": settings, **said})


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
            raise OutputError(f"{record.name}: is a page of {key[0]}, which would be written anew")
        record = replace(record, status="kept" if accepted else "done")
        report.append(record)
        return record
