"""Planning: what goes where in a batch, and what is known to fail, before the work begins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from flowkit.batch.inputs import LIST, find, is_many, is_there
from flowkit.batch.job import BatchJob
from flowkit.batch.plan import PARTS, TABLES, Document, Places, check, parts_of, plan_document
from flowkit.batch.stdin import StandardInput
from flowkit.batch.storage import Storage
from flowkit.errors import FlowkitError, OutputError
from flowkit.images.password import password_from
from flowkit.images.reader import check_there
from flowkit.images.writer import check_name

MAPS = (".png", ".tif", ".tiff")
"""Suffixes of images that are written beside the pages."""


class Plan(NamedTuple):
    """The destinations of a batch.

    Attributes:
        documents: the pages.
        folder: for the results; where `out` is a file, the one that it is in.
        report: the folder of the report; None where there is none.
        is_folder: whether `out` is a folder.
        problems: inputs that stand for no page at all, a line each.
        password: of encrypted PDF files.
    """

    documents: list[Document]
    folder: Path
    report: Path | None
    is_folder: bool
    problems: list[str]
    password: str | None = None

    @property
    def layouts(self) -> list[Path]:
        """Return the layouts of all pages."""
        sheets = (sheet for document in self.documents for sheet in document.sheets)
        return [sheet.layout for sheet in sheets if sheet.layout is not None]


def planned(job: BatchJob, storage: Storage, stdin: StandardInput) -> Plan:
    """Plan a batch; `stdin` is read where the input "-" stands for it.

    Raises:
        FlowkitError: an option cannot be used, or no input is there.
        ImageError: the only input is not there.
        OutputError: results cannot be written, or would overwrite one another or an input.
    """
    job.task.check(job.maps, keep_samples=job.save_samples is not None)
    if job.format is not None and f".{job.format}" not in job.task.suffixes:
        known = ", ".join(suffix.removeprefix(".") for suffix in job.task.suffixes)
        raise FlowkitError(f'format "{job.format}", expected one of {known}')
    if job.jobs == "auto" and job.engine != "local":
        raise FlowkitError(f"--jobs auto is for this machine; expected a number with --engine {job.engine}")
    inputs = [storage.input(os.fspath(text)) for text in job.inputs]
    if not inputs:
        raise FlowkitError("inputs: expected one or more files, folders or patterns, got none")
    if LIST in inputs and (piped := stdin.image()) is not None:
        if job.engine == "ray":
            raise FlowkitError("--engine ray needs files that all machines see, not standard input")
        inputs = [str(piped) if text == LIST else text for text in inputs]
    if not is_many(inputs):
        check_there(Path(inputs[0]))  # before anything about OUT: it is the first thing that was typed
    out = storage.output(os.fspath(job.out))
    maps = {kind: storage.output(os.fspath(place)) for kind, place in job.maps.items()}
    samples = None if job.save_samples is None else storage.output(os.fspath(job.save_samples))
    is_folder = _is_folder(job, out, inputs)
    places = Places(out, maps, samples, _layout(job, inputs, is_folder=is_folder))
    if is_folder:
        return _into_folders(job, storage, inputs, places, stdin)
    return _into_files(job, storage, Path(inputs[0]), places, stdin)


def _into_files(job: BatchJob, storage: Storage, source: Path, places: Places, stdin: StandardInput) -> Plan:
    if job.html:
        raise OutputError(f"--html needs a folder for the results, and {places.out} is a file")
    check_name(places.out, suffixes=job.task.suffixes)
    password = _password(job)
    for kind, path in places.maps.items():
        check_name(path, suffixes=(".json",) if kind in TABLES else MAPS)
    if places.samples is not None:
        check_name(places.samples, suffixes=job.task.suffixes)
    document = plan_document(
        source,
        storage.page_counts([source], password)[source],
        places,
        samples=job.task.samples,
        parts=parts_of(places.out),
        title=stdin.title(source) or storage.named(str(source)),
    )
    check([document], true_name=storage.true_name)
    for path in places.all:
        storage.check_folder(path.parent)
    return Plan([document], places.out.parent, document.parts if document.out else None, False, [], password)


def _into_folders(
    job: BatchJob, storage: Storage, inputs: list[str], folders: Places, stdin: StandardInput
) -> Plan:
    for folder in folders.all:
        storage.check_folder(folder)
    password = _password(job)
    found, problems = find(inputs, stdin=stdin.read, leave_out=folders.all, storage=storage)
    problems = [storage.named(problem) for problem in (*storage.problems, *problems)]
    if not any(is_there(file.source) for file in found):
        missing = [f"{storage.named(str(file.source))}: no such file" for file in found]
        raise FlowkitError("\n".join(problems + missing))
    pages = storage.page_counts((file.source for file in found), password)
    documents = [
        plan_document(
            file.source,
            pages[file.source],
            folders.below(file.place, f".{job.format or 'png'}"),
            samples=job.task.samples,
            parts=folders.out / PARTS / file.place,
            title=stdin.title(file.source) or storage.named(str(file.source)),
        )
        for file in found
    ]
    cases = all(storage.tells_case(folder) for folder in folders.all)
    check(documents, true_name=storage.true_name, tells_case=cases)
    return Plan(documents, folders.out, folders.out, True, problems, password)


def _is_folder(job: BatchJob, out: Path, inputs: list[str]) -> bool:
    """Return true if OUT is a folder."""
    if out.is_dir() or os.fspath(job.out).endswith((os.sep, "/")):
        return True
    called_like_a_file = out.suffix.lower() in job.task.suffixes
    if is_many(inputs):
        if called_like_a_file and not out.exists():
            raise OutputError(f"{out}: is called like a file, expected a folder for what may be many pages")
        return True
    if job.format is not None and called_like_a_file:
        raise OutputError(f"{out}: --format is for folders; a file's format is its suffix")
    return job.format is not None


def _layout(job: BatchJob, inputs: list[str], *, is_folder: bool) -> Path | None:
    """Return the folder of layouts, or the layout where there is one page."""
    if job.layout is None:
        return None
    if not job.task.reads_layouts:
        raise FlowkitError("layouts are for ink and clean pages; expected none with this task")
    layout = Path(job.layout)
    check_there(layout)
    if is_folder and not layout.is_dir():
        raise FlowkitError(f"{layout}: expected a folder of PAGE or ALTO files, as OUT is a folder")
    return layout / f"{Path(inputs[0]).stem}.xml" if layout.is_dir() and not is_folder else layout


def _password(job: BatchJob) -> str | None:
    return None if job.task.pdf_password is None else password_from(job.task.pdf_password)
