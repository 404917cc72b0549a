"""A run over URLs, as the machine sees it that plans it: stand-ins for their files, and what goes back."""

from __future__ import annotations

import fnmatch
import glob
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import FrameType, TracebackType
from typing import Any

from flowkit.batch import file_identity
from flowkit.batch.inputs import is_image
from flowkit.batch.plan import Document
from flowkit.batch.remote import store
from flowkit.batch.remote.placeholders import WORK, Mirror
from flowkit.batch.remote.report_upload import followed
from flowkit.batch.remote.scratch import scratch
from flowkit.errors import FlowkitError, ImageError, OutputError
from flowkit.files import DRAFTS
from flowkit.images import reader
from flowkit.images.tiff_pages import count_tiff

_SEVERAL = (".tif", ".tiff", ".pdf")  # what files are called that may hold several pages
_AT_A_TIME = 8  # TIFFs that are looked into


class Remote:
    """What of a run's files is at URLs; where nothing is, it leaves everything as it is.

    Each file at a URL has an empty one for a stand-in, in a temporary folder that is removed at the end (see
    `flowkit.batch.remote.placeholders`): inputs with the size and time of the file, results that are there
    with their name. SIGTERM ends a run as Ctrl-C does, so that its report is written back.

    Attributes:
        mirror: where the stand-ins are; None while there are none.
        problems: inputs that have no stand-in, a line each.
    """

    def __init__(self) -> None:
        self.mirror: Mirror | None = None
        self.problems: list[str] = []
        self._pages: dict[Path, int] = {}
        self._digests: dict[Path, str] = {}

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self.mirror is not None:
            self._remove()
            if self._before is not None:
                signal.signal(signal.SIGTERM, self._before)

    def named(self, text: str) -> str:
        """A message with URLs for the paths of stand-ins."""
        return text if self.mirror is None else self.mirror.named(text)

    def holds(self, path: Path) -> bool:
        """Whether a path is a stand-in's."""
        return self.mirror is not None and self.mirror.holds(path)

    def input(self, text: str) -> str:
        """A file, a folder or a pattern, as typed; for a URL the same of stand-ins, which are made.

        Raises:
            FlowkitError: nobody can say what is there.
        """
        if not store.is_url(text):
            return text
        path = self._mirror().path(text)
        found = store.entry(text)
        if found is None and glob.has_magic(text):
            protocol, rest = store.split(text)
            parts = rest.split("/")
            fixed = parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))]
            self._stand_in_below(protocol + "/".join(fixed))
        elif found is not None and (found.folder or text.endswith("/")):
            path.mkdir(parents=True, exist_ok=True)
            self._stand_in_below(text)
        elif found is not None:
            self._stand_in(path, found)
        return str(path)

    def output(self, text: str) -> Path:
        """A place for results, as typed; for a URL a stand-in, with one for everything at or below it.

        Raises:
            FlowkitError: nobody can say what is there.
        """
        if not store.is_url(text):
            return Path(text)
        path = self._mirror().path(text)
        path.parent.mkdir(parents=True, exist_ok=True)
        found = store.entry(text)
        if found is not None and found.folder:
            path.mkdir(exist_ok=True)
            for place, _ in store.listing(text):
                url = store.join(text, place)
                with suppress(FlowkitError, OSError):  # such a name has no result of ours
                    mine = self._mirror().path(url)
                    if fnmatch.fnmatch(mine.name, DRAFTS):  # of a run that was killed
                        store.remove(url)
                        continue
                    mine.parent.mkdir(parents=True, exist_ok=True)
                    mine.touch()
        elif found is not None:
            path.touch()
        return path

    def check_output(self, folder: Path) -> None:
        """Raise OutputError unless a file can be put into the folder of a stand-in."""
        if self.holds(folder):
            draft = self._mirror().root / WORK / f".flowkit-{secrets.token_hex(8)}.tmp"
            draft.touch()
            url = self._mirror().url(folder)
            try:
                store.put(draft, store.join(url, draft.name))
                store.remove(store.join(url, draft.name))
            except OutputError as error:
                raise OutputError(str(error).replace(store.join(url, draft.name), url)) from None

    def count(self, path: Path) -> int:
        """See `flowkit.images.reader.count_pages`; of a file at a URL, one that is called like it holds one
        page is not looked into.
        """
        if not self.holds(path):
            return reader.count_pages(path)
        if not _may_hold_several(path):
            return 1
        if path not in self._pages:
            with self.fetched(str(path)) as local:
                self._pages[path] = reader.count_pages(local)
        return self._pages[path]

    def count_ahead(self, paths: Iterable[Path]) -> None:
        """Look into TIFFs at URLs, several at a time, before `count` is asked for them one by one."""

        def look(path: Path) -> int | None:
            with suppress(ImageError), store.opened(mirror.url(path)) as file:
                return count_tiff(file)
            return None

        far = [path for path in paths if self.holds(path) and _may_hold_several(path)]
        tiffs = [path for path in far if path.suffix.lower() != ".pdf"]
        if not tiffs:
            return
        mirror = self._mirror()
        pool = ThreadPoolExecutor(_AT_A_TIME)
        try:
            for path, pages in zip(tiffs, pool.map(look, tiffs), strict=True):
                if pages is not None:
                    self._pages[path] = pages
        finally:
            pool.shutdown(cancel_futures=True)

    def is_same(self, record: dict[str, Any], path: Path) -> bool:
        """See `flowkit.batch.file_identity`; a file that was touched is fetched."""
        if not self.holds(path):
            return file_identity.is_same(record, path)
        try:
            stat = path.stat()
            if stat.st_mtime_ns and (record.get("bytes"), record.get("modified")) == (
                stat.st_size,
                stat.st_mtime_ns,
            ):
                return True
            if path not in self._digests:
                with self.fetched(self._mirror().url(path)) as local:
                    self._digests[path] = file_identity.identity(local)["sha256"]
            return bool(record.get("sha256") == self._digests[path])
        except (OSError, ImageError):
            return False

    def true_name(self, path: Path) -> str:
        """One name for a file, however it is written."""
        return store.true_name(self._mirror().url(path)) if self.holds(path) else os.path.realpath(path)

    @contextmanager
    def fetched(self, place: str) -> Iterator[Path]:
        """A file to read, from a path or a URL, or in the place of a stand-in.

        Raises:
            ImageError: it cannot be fetched.
        """
        if self.mirror is not None and self.mirror.holds(Path(place)):
            place = self.mirror.url(Path(place))
        if not store.is_url(place):
            yield Path(place)
            return
        with tempfile.TemporaryDirectory(dir=self._mirror().root / WORK) as folder:
            path = Path(folder, PurePosixPath(place).name)
            store.fetch(place, path)
            yield path

    @contextmanager
    def binding(self, document: Document) -> Iterator[None]:
        """Fetches the pages of a document; then puts it, as the block made it, and removes the pages.

        Raises:
            ImageError: a page cannot be fetched.
            OutputError: the document cannot be written.
        """
        out = document.out
        if out is None or not self.holds(out):
            yield
            return
        mirror = self._mirror()
        for sheet in document.sheets:
            sheet.out.parent.mkdir(parents=True, exist_ok=True)
            store.fetch(mirror.url(sheet.out), sheet.out)
        yield
        self.put(out)
        os.truncate(out, 0)
        self.forget(document)

    def forget(self, document: Document) -> None:
        """Remove what waits at a URL to be bound into a document."""
        parts, out = document.parts, document.out
        if out is not None and self.holds(parts):
            top = next(folder for folder in out.parents if parts.is_relative_to(folder))
            store.remove(self._mirror().url(parts), root=self._mirror().url(top))

    def put(self, path: Path) -> None:
        """Put a file that was written in the place of a stand-in. Raises OutputError where it cannot."""
        if self.holds(path):
            store.put(path, self._mirror().url(path))

    @contextmanager
    def keeping(self, report: Path) -> Iterator[None]:
        """See `flowkit.batch.remote.report_upload`; what the report holds at its URL is fetched before."""
        if not self.holds(report):
            yield
            return
        mirror = self._mirror()
        url = mirror.url(report)
        if report.exists():
            store.fetch(url, report)
        with followed(report, url, mirror.root / WORK / report.name):
            yield

    def _mirror(self) -> Mirror:
        if self.mirror is None:
            root, self._remove = scratch()
            self.mirror = Mirror(root)
            (self.mirror.root / WORK).mkdir()
            self._before: Any = None
            if threading.current_thread() is threading.main_thread():
                self._before = signal.signal(signal.SIGTERM, _end)
        return self.mirror

    def _stand_in_below(self, url: str) -> None:
        for place, found in store.listing(url):
            hidden = any(part.startswith(".") for part in place.split("/"))
            if not hidden and is_image(Path(place)):
                try:
                    self._stand_in(self._mirror().path(store.join(url, place)), found)
                except FlowkitError as error:  # not every name that a store takes is one here
                    self.problems.append(str(error))

    def _stand_in(self, path: Path, found: store.Entry) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.truncate(path, found.size)
            os.utime(path, ns=(found.modified, found.modified))
        except OSError as error:  # such as a name that is too long
            self.problems.append(f"{self.named(str(path))}: cannot be worked on ({error.strerror or error})")


def _may_hold_several(path: Path) -> bool:
    return path.suffix.lower() in _SEVERAL or not is_image(path)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
