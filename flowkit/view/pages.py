"""The pages of a viewer: those of a report, and those of the input that are not done yet."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from flowkit.batch import BatchJob, Binarize, Clean, Record, Task
from flowkit.batch.again import accept, do_again
from flowkit.batch.html import order
from flowkit.batch.page_work import settings_of
from flowkit.batch.plan import PARTS, RESULT, TABLES, Sheet
from flowkit.batch.planning import planned
from flowkit.batch.report import REPORT, Records, records_of
from flowkit.batch.stdin import StandardInput
from flowkit.batch.storage import Storage
from flowkit.errors import FlowkitError, ImageError, OutputError, suggest
from flowkit.flow import ConditionalFlow
from flowkit.images.writer import BOUND
from flowkit.recipe.values import convert
from flowkit.view.layers import CleanLayer, Layer, png_of

INPUT = "input"
CLEAN = "clean"
MAPS = ("probability", "uncertainty")
PLACE = ".flowkit-view"
"""The folder, below that of the results, for maps of pages that are done from the viewer."""

_SHARED = ("invert", "samples", "scale", "seed", "temperature")
OPTIONS: dict[type[Task], tuple[str, ...]] = {Binarize: ("decision", *_SHARED), Clean: ("pictures", *_SHARED)}
"""Options that may be asked for, by the task that made the page."""

SAMPLES = 16


@dataclass(frozen=True)
class Entry:
    """A page in the viewer, and its last record; None where it was never done."""

    sheet: Sheet
    record: Record | None


class Pages:
    """The pages of a folder with results, failures first and then the most doubtful.

    Args:
        folder: for the results, with a report or without.
        inputs: files and folders whose pages are shown as well, done or not.
        task: how pages are done that never were.

    Attributes:
        busy: the page that is being done, the steps done and the steps in all; None at rest.

    Raises:
        FlowkitError: there is neither a report nor an input, or an input cannot be used.
    """

    def __init__(self, folder: Path, inputs: Sequence[str] = (), task: Binarize | None = None) -> None:
        self.folder = folder
        self.task = task or Binarize(samples=SAMPLES)
        self.busy: tuple[int, int, int] | None = None
        self._lock = threading.Lock()
        self._ids: dict[tuple[str, int | None], int] = {}
        self._planned: dict[tuple[str, int | None], Sheet] = {}
        self._records: Records = {}
        self._read_at: object = None
        if inputs:
            maps = {kind: folder / PLACE / kind for kind in MAPS}
            job = BatchJob(inputs, f"{folder}/", task=self.task, maps=maps)
            for document in planned(job, Storage(), StandardInput()).documents:
                for sheet in document.sheets:
                    page = None if sheet.page is None else sheet.page + 1
                    self._planned[sheet.result.relative_to(folder).as_posix(), page] = sheet
        elif not (folder / REPORT).is_file():
            raise FlowkitError(f"{folder}: has no {REPORT}; expected a folder that flowkit wrote, or -o OUT")

    def entries(self) -> dict[int, Entry]:
        """Return all pages by their number, which stays the same, in the order in which to look at them."""
        records = self._report()
        found = {key: Entry(sheet, records.get(key)) for key, sheet in self._planned.items()}
        for key, record in records.items():
            if key not in found and record.status in ("done", "failed", "kept"):
                found[key] = Entry(self._sheet(record), record)
        for key in found:
            self._ids.setdefault(key, len(self._ids))
        new = {key: entry for key, entry in found.items() if entry.record is None}
        old = sorted((records[key] for key in found if key in records), key=order)
        keys = [*((record.output, record.page) for record in old), *new]
        return {self._ids[key]: found[key] for key in keys}

    def entry(self, number: int) -> Entry:
        """Return a page. Raises OutputError where there is none of this number."""
        found = self.entries().get(number)
        if found is None:
            raise OutputError(f"there is no page {number}")
        return found

    def shown(self) -> list[dict[str, Any]]:
        """Return what the viewer shows of every page, in plain values."""
        return [self._shown(number, entry) for number, entry in self.entries().items()]

    def layer(self, number: int, kind: str) -> bytes:
        """Return an image of a page as PNG: the input, the result, a map, or the clean page by its ink.

        Raises:
            ImageError: it cannot be read.
            OutputError: the page has no such image.
        """
        entry = self.entry(number)
        layers = self._layers(entry)
        if kind not in layers:
            raise OutputError(f'{entry.sheet.name}: has no "{kind}"; {suggest(kind, layers)}')
        layer = layers[kind]
        paths = [layer.source.path, layer.ink.path] if isinstance(layer, CleanLayer) else [layer.path]
        try:
            changed = tuple(path.stat().st_mtime_ns for path in paths)
        except OSError as error:
            raise ImageError(f"{error.filename}: cannot be read ({error.strerror or error})") from None
        return png_of(layer, changed)

    def accept(self, number: int, *, accepted: bool) -> None:
        """Write down whether a page stays as it is. Raises OutputError, as `flowkit.batch.again.accept`."""
        accept(self.folder, self._key(number), accepted=accepted)

    def do(self, number: int, options: Mapping[str, Any]) -> Record:
        """Do a page again by the command that made it, one page at a time; return its record.

        Args:
            number: of the page.
            options: those to change, see `OPTIONS`.

        Raises:
            FlowkitError: another command made the page, an option cannot be used, a page is being done, or
                as `do_again`.
        """
        sheet, record = (entry := self.entry(number)).sheet, entry.record
        kind = _kind(record)
        if kind is None:
            raise FlowkitError(
                f"{sheet.name}: was made by flowkit {_verb(record)}; expected a page of flowkit binarize or "
                "flowkit clean"
            )
        task = self._task(kind, record, options)
        if not self._lock.acquire(blocking=False):
            raise FlowkitError("a page is being done: wait until it is ready")
        try:
            self.busy = (number, 0, 1)
            flow = _model(kind, task.model, task.device)

            def progress(done: int, total: int) -> None:
                self.busy = (number, done, total)

            wanted = self._maps(sheet) if task.maps and task.samples > 1 else {}
            return do_again(self.folder, replace(sheet, maps=wanted, samples=()), task, flow, progress)
        finally:
            self.busy = None
            self._lock.release()

    def _task(self, kind: type[Task], record: Record | None, options: Mapping[str, Any]) -> Task:
        """Return the task of a page: with the options that it was made with, changed as asked for."""
        if record is not None and "layouts_sha256" in record.settings:
            verb = _verb(record)
            raise FlowkitError(f"the page was made with a layout; do it again by flowkit {verb} --layout")
        known, hints = OPTIONS[kind], get_type_hints(kind)
        kept = {field.name for field in fields(kind)} - {"precision"}  # another device may have made it
        said = {} if record is None else {k: v for k, v in record.settings.items() if k in kept}
        for name, value in options.items():
            if name not in known:
                raise FlowkitError(f'unknown option "{name}"; {suggest(name, known)}')
            try:
                said[name] = convert(value, hints[name])
            except ValueError as error:
                raise FlowkitError(f"{name}: {error}") from None
        before = None if record is None else record.settings.get("samples")
        for name in {"decision", "temperature"} - {*options}:
            if said.get("samples") != before:
                said.pop(name, None)  # they were for so many samples
        if record is None:
            task: Task = replace(self.task, **said)
        else:
            shared = {field.name: getattr(self.task, field.name) for field in fields(Task)}
            task = kind(**{**shared, "model": record.model or self.task.model, **said})
        settings_of(task)
        return task

    def _key(self, number: int) -> tuple[str, int | None]:
        self.entry(number)
        return next(key for key, known in self._ids.items() if known == number)

    def _report(self) -> Records:
        path = self.folder / REPORT
        try:
            found = path.stat()
            if self._read_at != (found.st_size, found.st_mtime_ns):
                self._records, _ = records_of(path.read_text(encoding="utf-8", errors="replace"))
                self._read_at = found.st_size, found.st_mtime_ns
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise OutputError(f"{path}: cannot be read ({error.strerror or error})") from None
        return self._records

    def _sheet(self, record: Record) -> Sheet:
        out = self.folder / record.output
        page = None if record.page is None else record.page - 1
        files = {kind: self.folder / file.path for kind, file in record.files.items()}
        waited = files.pop(RESULT, self.folder / PARTS / record.output / f"{record.page}{out.suffix}")
        if page is None or out.suffix.lower() not in BOUND:
            return Sheet(Path(record.input), page, out, files)
        return Sheet(Path(record.input), page, waited, files, document=out)

    def _maps(self, sheet: Sheet) -> dict[str, Path]:
        """Places of the maps of a page, in the folder or the viewer's own; and of the tables that it has."""
        is_below = sheet.out.is_relative_to(self.folder)  # or it will be refused
        own = (sheet.out.relative_to(self.folder) if is_below else Path(sheet.out.name)).with_suffix(".png")
        places = {kind: self.folder / PLACE / kind / own for kind in MAPS}
        inside = self.folder.resolve()
        kept = {k: path for k, path in sheet.maps.items() if path.resolve().is_relative_to(inside)}
        tables = {kind: path for kind, path in kept.items() if kind in TABLES}
        return {kind: kept.get(kind, place) for kind, place in places.items()} | tables

    def _layers(self, entry: Entry) -> dict[str, Layer | CleanLayer]:
        sheet, record = entry.sheet, entry.record
        page = Layer(sheet.source, sheet.page)
        layers: dict[str, Layer | CleanLayer] = {INPUT: page}
        if record is not None and record.error is None:
            result = Layer(sheet.result, None if sheet.document is None else sheet.page)
            layers[RESULT] = result
            said = record.settings
            # nothing tells where a layout is
            if _kind(record) is Binarize and "layouts_sha256" not in said:
                scales, invert = record.scales or (1.0,), said.get("invert", "auto")
                layers[CLEAN] = CleanLayer(page, result, scales, invert, said.get("pdf_dpi"))
            for kind, file in record.files.items():
                if kind not in (RESULT, *TABLES):
                    layers[kind] = Layer(self.folder / file.path)
        return layers

    def _shown(self, number: int, entry: Entry) -> dict[str, Any]:
        record = entry.record
        said = {} if record is None else asdict(record)
        names = ("error", "notes", "width", "height", "review", "ink", "seconds", "settings", "worst_tiles")
        return {
            "number": number,
            "name": entry.sheet.name,
            "status": "new" if record is None else record.status,
            "layers": list(self._layers(entry)),
            "version": None if record is None else record.finished,
            "can_be_done": _kind(record) is not None and _is_written(entry.sheet.document),
            **{name: said.get(name) for name in names},
        }


def _verb(record: Record | None) -> str:
    return "binarize" if record is None else str(record.settings.get("task", "binarize"))


def _kind(record: Record | None) -> type[Task] | None:
    """Return the task that makes a page again; None where there is no doing it from the viewer."""
    kinds: dict[str, type[Task]] = {"binarize": Binarize, "clean": Clean}
    return kinds.get(_verb(record))


def _is_written(document: Path | None) -> bool:
    return document is None or document.is_file()


@functools.lru_cache(maxsize=1)
def _model(kind: type[Task], name: str, device: str) -> ConditionalFlow:
    return kind(model=name, device=device).load()
