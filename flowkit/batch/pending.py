"""The pages of a batch that are not done yet: they are done, written down, and bound into documents."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from flowkit.batch.file_identity import digest
from flowkit.batch.gone import name_gone
from flowkit.batch.page_work import failure
from flowkit.batch.plan import RESULT, Document, Sheet
from flowkit.batch.planning import Plan
from flowkit.batch.record import Record
from flowkit.batch.report import Report
from flowkit.batch.tasks import Fields
from flowkit.errors import ImageError, OutputError
from flowkit.files import DRAFTS, check_no_link
from flowkit.images.multipage import bind, take_out

WorkThrough = Callable[[Sequence[Sheet]], Iterator[tuple[Sheet, Fields]]]
"""A function that does pages in any order, and yields the fields of each record when they are ready."""


class Pending:
    """The pages of a plan that are not done yet.

    A page is done if all of its files are as they were written, and the report says that they were made from
    this input with these settings.

    Args:
        plan: what is to be there in the end.
        report: what was done by runs before.
        settings: what results depend on, as it stands in the report.
        labels: more that is to stand there.
        overwrite: do everything again.

    Attributes:
        sheets: the pages that are left.
        total: how many there are, done ones too.
        kept: how many were there before any report.
        unbound: documents that are not written yet.
        notes: on lines of the report that were skipped, and on pages that are gone.
        plan: as given.
        storage: of all files.
    """

    def __init__(
        self,
        plan: Plan,
        report: Report,
        settings: Mapping[str, Any],
        labels: Mapping[str, Any],
        *,
        overwrite: bool,
    ) -> None:
        self.plan = plan
        self.storage = report.storage
        self.report = report
        self.notes = [self.storage.named(note) for note in report.notes]
        self.settings = settings
        self.labels = labels
        self.total = sum(len(document.sheets) for document in plan.documents)
        self.kept = 0
        self.sheets: list[Sheet] = []
        self.unbound: dict[Path, Document] = {}
        self._left: dict[Path, int] = {}
        keep = plan.is_folder and not report.before and not overwrite
        anew = overwrite or not report.records
        for document in plan.documents:
            if keep and all(path.is_file() for path in document.files()):
                self._keep(document)
                continue
            bound = not anew and report.is_bound(document)
            left = list(document.sheets) if anew else self._left_of(document, bound)
            self.sheets += left
            if document.out is None:
                continue
            if left or not bound:
                self.unbound[document.out] = document
                self._left[document.out] = len(left)
            elif document.parts.exists():  # of a run that was killed when it had bound them
                self.storage.forget(document)
        if report.records:
            self.notes += name_gone(plan.documents, report)
        files = [path for sheet in self.sheets for path in (*sheet.files.values(), sheet.result)]
        _remove_drafts({path.parent for path in (*files, *self.unbound)})

    def records(self, work_through: WorkThrough) -> Iterator[Record]:
        """Do the remaining pages; yield a record for every page done and every document bound.

        Raises:
            FlowkitError: the model cannot be loaded, or the report cannot be written.
        """
        for out in [out for out, left in self._left.items() if not left]:
            yield self._bind(self.unbound[out])
        possible: list[Sheet] = []
        for sheet in self.sheets:
            try:
                self._check_no_links(sheet.result, *sheet.files.values())
                possible.append(sheet)
            except OutputError as error:
                yield self._add(sheet, failure(str(error)))
        if not possible:
            return
        for sheet, said in work_through(possible):
            yield self._add(sheet, said)
            if sheet.document is not None and said["status"] == "done":
                self._left[sheet.document] -= 1
                if not self._left[sheet.document]:
                    yield self._bind(self.unbound[sheet.document])

    def _add(self, sheet: Sheet, said: Fields) -> Record:
        return self.report.add(sheet, {**self.labels, "settings": self.settings, **said})

    def _check_no_links(self, *paths: Path) -> None:
        """Raise OutputError where a result would replace a link, whose name the user did not choose."""
        for path in paths if self.plan.is_folder else ():
            check_no_link(path)

    def _keep(self, document: Document) -> None:
        for sheet in document.sheets:
            self.report.add(sheet, {"status": "kept"})
        if document.out is not None:
            self.report.add_document(document, {"status": "kept"})
        self.kept += len(document.sheets)

    def _left_of(self, document: Document, bound: bool) -> list[Sheet]:
        done = [self.report.is_done(sheet, self.settings, bound=bound) for sheet in document.sheets]
        if bound and not all(done):
            # its pages are parts of a document that is to be replaced
            return [sheet for sheet in document.sheets if not self._stays(sheet)]
        return [sheet for sheet, is_done in zip(document.sheets, done, strict=True) if not is_done]

    def _stays(self, sheet: Sheet) -> bool:
        """Take a page that was accepted out of its document, to be bound as it is."""
        record = self.report.records.get(self.report.key(sheet))
        if record is None or record.status != "kept":
            return False
        assert sheet.document is not None
        assert sheet.page is not None
        try:
            take_out(sheet.document, sheet.page, sheet.out)
        except (ImageError, OutputError):  # of a document that is none of flowkit's
            return False
        return True

    def _bind(self, document: Document) -> Record:
        assert document.out is not None
        try:
            self._check_no_links(document.out)
            with self.storage.binding(document), self._source(document) as source:
                notes = bind(
                    document.out, [sheet.out for sheet in document.sheets], source, self.plan.password
                )
                file = {"bytes": document.out.stat().st_size, "sha256": digest(document.out)}
        except (ImageError, OutputError) as error:
            return self.report.add_document(document, {**self.labels, **failure(str(error))})
        record = self.report.add_document(
            document,
            {
                **self.labels,
                "settings": self.settings,
                "status": "bound",
                "files": {RESULT: file},
                "notes": notes,
            },
        )
        del self.unbound[document.out]
        self.storage.forget(document)
        return record

    def _source(self, document: Document) -> AbstractContextManager[Path | None]:
        """Give the input of a document for which more than the pages is kept: title, outline, page labels."""
        assert document.out is not None
        if document.out.suffix.lower() != ".pdf":
            return nullcontext()
        return self.storage.fetched(str(document.sheets[0].source))


def _remove_drafts(folders: set[Path]) -> None:
    """Remove the drafts of a killed run."""
    for folder in folders:
        for draft in folder.glob(DRAFTS):
            if draft.is_dir():
                shutil.rmtree(draft, ignore_errors=True)
            else:
                draft.unlink(missing_ok=True)
