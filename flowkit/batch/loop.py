"""A run over many pages: what is left to do is done, written down as it is done, and bound into documents."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from flowkit.batch.plan import Document, Sheet
from flowkit.batch.report import Report
from flowkit.batch.tasks import Record, failure
from flowkit.errors import ImageError, OutputError
from flowkit.files import DRAFTS
from flowkit.images.multipage import bind

Binding = Callable[[Document], AbstractContextManager[object]]
Through = Callable[[Sequence[Sheet]], Iterator[tuple[Sheet, Record]]]
"""Does pages, in whatever order; the record of each as it is ready."""


class Run:
    """The pages of some documents that are not done yet.

    A page is done if all of its files are there and the report says that they were made from this input with
    these settings.

    Args:
        documents: what is to be there in the end.
        settings: what results depend on, as it stands in the report.
        labels: what else is to stand there.
        report: what was done by runs before; None: nothing.
        keep: files that are there before there is any report are done, too, whoever made them.
        overwrite: do everything anew.
        binding: what a document is bound within: its pages are there, and it is taken to where it belongs.

    Attributes:
        todo: the pages that are left.
        total: how many there are, done ones too.
        kept: how many were there before any report.
        unbound: documents that are not written yet.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        settings: Mapping[str, Any],
        labels: Mapping[str, Any],
        report: Report | None,
        *,
        keep: bool = False,
        overwrite: bool = False,
        binding: Binding = nullcontext,
    ) -> None:
        self.binding = binding
        self.settings = settings
        self.labels = labels
        self.report = report
        self.keep = keep
        self.total = sum(len(document.sheets) for document in documents)
        self.kept = 0
        self.todo: list[Sheet] = []
        self.unbound: dict[Path, Document] = {}
        self._left: dict[Path, int] = {}
        for document in documents:
            left = list(document.sheets) if report is None or overwrite else self._pending(document, report)
            self.todo += left
            if document.out is not None and (left or not document.bound()):
                self.unbound[document.out] = document
                self._left[document.out] = len(left)
        if report is not None:
            files = [path for sheet in self.todo for path in (*sheet.files, sheet.result)]
            _clear({path.parent for path in (*files, *self.unbound)})

    def go(self, through: Through) -> Iterator[tuple[Sheet, Record]]:
        """Do what is left; the record of every page, as it is ready, and of documents that cannot be bound.

        Args:
            through: what does pages, such as `work_through`.

        Raises:
            FlowkitError: the model cannot be loaded, or the report cannot be written.
        """
        for out in [out for out, left in self._left.items() if not left]:
            yield from self._bind(self.unbound[out])
        if not self.todo:
            return
        for sheet, record in through(self.todo):
            yield sheet, self._add(sheet, record)
            if sheet.document is not None and record["status"] == "done":
                self._left[sheet.document] -= 1
                if not self._left[sheet.document]:
                    yield from self._bind(self.unbound[sheet.document])

    def _pending(self, document: Document, report: Report) -> list[Sheet]:
        there = [_is_there(sheet, document) for sheet in document.sheets]
        if self.keep and not report.before and all(there):
            for sheet in document.sheets:
                report.add(sheet, {"status": "kept"})
            self.kept += len(there)
            return []
        done = [
            found and report.says_done(sheet, self.settings)
            for sheet, found in zip(document.sheets, there, strict=True)
        ]
        if document.bound() and not all(done):
            done = [False] * len(done)  # its pages are parts of a document that is to be replaced
        return [sheet for sheet, is_done in zip(document.sheets, done, strict=True) if not is_done]

    def _bind(self, document: Document) -> Iterator[tuple[Sheet, Record]]:
        assert document.out is not None
        try:
            with self.binding(document):
                bind(document.out, [sheet.out for sheet in document.sheets])
        except (ImageError, OutputError) as error:
            sheet = document.sheets[-1]  # so that the next run comes back to the document
            yield sheet, self._add(sheet, failure(str(error)))
        else:
            del self.unbound[document.out]
            shutil.rmtree(document.parts, ignore_errors=True)
            with suppress(OSError):
                for folder in document.parts.parents:
                    folder.rmdir()  # until one that is not empty

    def _add(self, sheet: Sheet, record: Record) -> Record:
        if self.report is None:
            return record
        return self.report.add(sheet, {**self.labels, **self.settings, **record})


def _is_there(sheet: Sheet, document: Document) -> bool:
    out, *more = sheet.files
    return (out.is_file() or document.bound()) and all(path.is_file() for path in more)


def _clear(folders: set[Path]) -> None:
    """Remove the drafts of a run that was killed."""
    for folder in folders:
        for draft in folder.glob(DRAFTS):
            if draft.is_dir():
                shutil.rmtree(draft, ignore_errors=True)
            else:
                draft.unlink(missing_ok=True)
