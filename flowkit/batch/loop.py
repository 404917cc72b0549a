"""`run`: the pages of a batch that are not done yet, one record after another."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import NamedTuple

from flowkit.batch import html
from flowkit.batch.engines import engine
from flowkit.batch.file_identity import digest_of_all
from flowkit.batch.job import BatchJob
from flowkit.batch.jobs import settled
from flowkit.batch.page_work import described, settings_of
from flowkit.batch.pending import Pending
from flowkit.batch.planning import Plan, planned
from flowkit.batch.record import Record
from flowkit.batch.remote import storage_for
from flowkit.batch.report import REPORT, Report, opened
from flowkit.batch.stdin import StandardInput
from flowkit.batch.storage import Storage
from flowkit.batch.tasks import Progress
from flowkit.files import check_no_link, make_folder


def run(job: BatchJob, progress: Progress | None = None) -> Run:
    """Do the pages of a batch that are not done yet.

    Planning comes first, before this returns. Then a page is done whenever the next record is asked for, and
    is written to `report.jsonl` before its record is returned. A page that fails has a record, too, and does
    not stop the pages after it. Into a folder, the same job can be run again to do the remaining pages.

    Args:
        job: the batch.
        progress: called with the steps done and the steps in all of the page that is worked on, where there
            is one at a time.

    Raises:
        FlowkitError: an option cannot be used, no input is there, results cannot be written, or the model
            cannot be loaded.
    """
    return Run(job, progress or _silent)


class Run(Iterator[Record]):
    """The records of a batch, which goes on while they are taken. `close`, or a `with` block, ends it early.

    Attributes:
        total: pages in all, done ones too.
        done: how many were done by runs before.
        kept: how many were in the folder for results before there was any report there: they stay.
        problems: inputs that hold no page at all, a line each.
        notes: what its user should know about results of earlier runs, a line each.
        jobs: how many pages are worked on at a time.
        is_folder: whether results go into a folder, which has a report.
    """

    def __init__(self, job: BatchJob, progress: Progress) -> None:
        self._steps = _steps(job, progress)
        begun = next(self._steps)
        assert isinstance(begun, _Begun)
        planned, self.jobs = begun
        self._pending = planned
        self.total, self.kept = planned.total, planned.kept
        self.problems, self.notes = planned.plan.problems, planned.notes
        self.done = self.total - self.kept - len(planned.sheets)
        self.is_folder = planned.plan.is_folder

    @property
    def unwritten(self) -> list[str]:
        """Documents that are not written, because their pages are not done, or could not be bound."""
        return [self._pending.storage.named(str(out)) for out in self._pending.unbound]

    def result(self, record: Record) -> str:
        """Return the path, or the URL, of the result that a record is about."""
        return self._pending.storage.named(str(self._pending.plan.folder / record.output))

    def close(self) -> None:
        """End the run; pages that are done stay done."""
        self._steps.close()

    def __next__(self) -> Record:
        record = next(self._steps)
        assert isinstance(record, Record)
        return record

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()


class _Begun(NamedTuple):
    """A batch that is planned, and how many of its pages are to be worked on at a time."""

    pending: Pending
    jobs: int


def _steps(job: BatchJob, progress: Progress) -> Generator[_Begun | Record, None, None]:
    """Yield the pages to do, once they are planned, and then the records."""
    with StandardInput() as stdin, job.storage or storage_for(job.places) as storage:
        settings_of(job.task)  # before anything else is looked at
        plan = planned(job, storage, stdin)
        flow = job.task.load()
        settings, labels = described(job.task, flow)
        if job.layout is not None:
            settings["layouts_sha256"] = digest_of_all(plan.layouts)
        if job.html:
            check_no_link(plan.folder / html.NAME)
        with _report(plan, storage, verify=job.verify) as report:
            pending = Pending(plan, report, settings, labels, overwrite=job.overwrite)
            job = settled(job, len(pending.sheets))
            yield _Begun(pending, int(job.jobs))
            yield from pending.records(engine(job, flow, storage.staging(), progress))
            if job.html:
                storage.put(html.write(report))
        for document in plan.documents:
            if not plan.is_folder and document.out is not None:
                storage.forget(document)  # beside one file there is nothing to come back to


@contextmanager
def _report(plan: Plan, storage: Storage, *, verify: bool) -> Iterator[Report]:
    """Open the report in its folder, which is made if missing; an empty report where a batch has none."""
    if plan.report is None:
        yield Report(plan.folder, storage)
        return
    make_folder(plan.report)
    # one beside a document is of no use elsewhere: it goes with the pages
    kept = storage.reporting(plan.report / REPORT) if plan.is_folder else nullcontext()
    with kept, opened(plan.report, plan.folder, storage, verify=verify) as report:
        yield report


def _silent(done: int, total: int) -> None:
    pass
