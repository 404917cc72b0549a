"""Storage at URLs, through fsspec. Empty local files stand for remote ones while a batch is planned."""

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

from flowkit.batch.inputs import is_image
from flowkit.batch.plan import Document
from flowkit.batch.remote import store
from flowkit.batch.remote.placeholders import WORK, FetchedPages, Mirror, named_by
from flowkit.batch.remote.report_upload import followed
from flowkit.batch.remote.scratch import scratch
from flowkit.batch.storage import Staging, Storage
from flowkit.errors import FlowkitError, ImageError, OutputError
from flowkit.files import DRAFTS
from flowkit.images.tiff_pages import count_tiff

_SEVERAL = (".tif", ".tiff", ".pdf")  # what files are called that may hold several pages
_AT_A_TIME = 8  # TIFFs that are looked into


class FsspecStorage(Storage):
    """Files at URLs; those of this machine are read and written where they are.

    An empty local file stands for each file at a URL (see `flowkit.batch.remote.placeholders`). That of an
    input has the size and the time of the file, that of an existing result its size. They are in a temporary
    folder, which is removed at the end. SIGTERM ends a run as Ctrl-C does, so that its report is uploaded.

    Attributes:
        mirror: where the stand-ins are; None while there are none.
        problems: inputs that cannot have one, a line each.
    """

    def __init__(self) -> None:
        self.mirror: Mirror | None = None
        self.problems: list[str] = []
        self._digests: dict[Path, str] = {}

    def __enter__(self) -> FsspecStorage:
        self.__init__()  # type: ignore[misc]  # forget the run before
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self.mirror is None:
            return
        self._remove()
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
        if isinstance(error, FlowkitError):
            raise type(error)(self.named(str(error))) from None

    def named(self, text: str) -> str:
        """See `Storage.named`."""
        return text if self.mirror is None else self.mirror.named(text)

    def holds(self, path: Path) -> bool:
        """Tell whether a path is a stand-in's."""
        return self.mirror is not None and self.mirror.holds(path)

    def input(self, text: str) -> str:
        """See `Storage.input`; stand-ins are made for what is at a URL.

        Raises:
            ImageError: the store cannot say what is there.
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

    def path_in_store(self, text: str) -> str:
        """See `Storage.path_in_store`."""
        return store.bare(text)

    def output(self, text: str) -> Path:
        """See `Storage.output`; stand-ins are made for what is at or below a URL.

        Raises:
            ImageError: the store cannot say what is there.
        """
        if not store.is_url(text):
            return Path(text)
        path = self._mirror().path(text)
        path.parent.mkdir(parents=True, exist_ok=True)
        found = store.entry(text)
        if found is not None and found.folder:
            path.mkdir(exist_ok=True)
            for place, entry in store.listing(text):
                url = store.join(text, place)
                with suppress(FlowkitError, OSError):  # such a name has no result of ours
                    mine = self._mirror().path(url)
                    if fnmatch.fnmatch(mine.name, DRAFTS):  # of a run that was killed
                        store.remove(url)
                        continue
                    mine.parent.mkdir(parents=True, exist_ok=True)
                    _make_of_size(mine, entry)
        elif found is not None:
            _make_of_size(path, found)
        return path

    def page_counts(self, sources: Iterable[Path], pdf_password: str | None = None) -> dict[Path, int]:
        """See `Storage.page_counts`; a file at a URL is not looked into if it is called like one page."""
        sources = list(sources)
        counts = {path: 1 for path in sources if self.holds(path) and not _may_hold_several(path)}
        far = [path for path in sources if self.holds(path) and path not in counts]
        counts |= self._count_tiffs([path for path in far if path.suffix.lower() != ".pdf"])
        for path in sources:
            if path not in counts:
                counts[path] = self._count(path, pdf_password)
        return counts

    def true_name(self, path: Path) -> str:
        """See `Storage.true_name`."""
        return store.true_name(self._mirror().url(path)) if self.holds(path) else super().true_name(path)

    def check_folder(self, folder: Path) -> None:
        """See `Storage.check_folder`: a file is put there, and removed.

        Raises:
            OutputError: the folder cannot be written.
        """
        if not self.holds(folder):
            super().check_folder(folder)
            return
        draft = self._mirror().root / WORK / f".flowkit-{secrets.token_hex(8)}.tmp"
        draft.touch()
        url = self._mirror().url(folder)
        try:
            store.put(draft, store.join(url, draft.name))
            store.remove(store.join(url, draft.name))
        except OutputError as error:
            raise OutputError(str(error).replace(store.join(url, draft.name), url)) from None

    def tells_case(self, folder: Path) -> bool:
        """See `Storage.tells_case`; a store is not asked."""
        return not self.holds(folder) and super().tells_case(folder)

    def relative(self, path: Path, folder: Path) -> str:
        """See `Storage.relative`; it is a URL in another store."""
        if not self.holds(path) and not self.holds(folder):
            return super().relative(path, folder)
        name, inside = self.named(str(path)), self.named(str(folder))
        if self.holds(path) and self.holds(folder) and name.startswith(store.join(inside, "")):
            return name.removeprefix(store.join(inside, ""))
        return name if self.holds(path) else str(path.absolute())

    def digest(self, path: Path) -> str:
        """See `Storage.digest`; a file at a URL is fetched, once."""
        if not self.holds(path):
            return super().digest(path)
        if path not in self._digests:
            with self.fetched(str(path)) as local:
                self._digests[path] = super().digest(local)
        return self._digests[path]

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """See `Storage.fetched`."""
        url = self.named(name)
        if not store.is_url(url):
            yield Path(name)
            return
        with tempfile.TemporaryDirectory(dir=self._mirror().root / WORK) as folder:
            path = Path(folder, PurePosixPath(url).name)
            store.fetch(url, path)
            yield path

    def staging(self) -> Staging:
        """See `Storage.staging`."""
        return super().staging() if self.mirror is None else FetchedPages(self.mirror)

    def put(self, path: Path) -> None:
        """See `Storage.put`."""
        if self.holds(path):
            store.put(path, self._mirror().url(path))

    @contextmanager
    def reporting(self, report: Path) -> Iterator[None]:
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

    @contextmanager
    def binding(self, document: Document) -> Iterator[None]:
        """See `Storage.binding`: its pages are fetched, and then it is put."""
        out = document.out
        if out is None or not self.holds(out):
            yield
            return
        mirror = self._mirror()
        for sheet in document.sheets:
            sheet.out.parent.mkdir(parents=True, exist_ok=True)
            store.fetch(mirror.url(sheet.out), sheet.out)
        with named_by(self.named):
            yield
        self.put(out)
        os.truncate(out, 0)  # it is a stand-in again

    def forget(self, document: Document) -> None:
        """See `Storage.forget`."""
        super().forget(document)
        if self.holds(document.parts):
            mirror = self._mirror()
            with suppress(OutputError):  # what stays does no harm
                store.remove(mirror.url(document.parts), root=mirror.url(document.folder))

    def _count(self, source: Path, pdf_password: str | None) -> int:
        if not self.holds(source):
            return super()._count(source, pdf_password)
        try:
            with self.fetched(str(source)) as local:
                return super()._count(local, pdf_password)
        except ImageError:
            return 1

    def _count_tiffs(self, paths: list[Path]) -> dict[Path, int]:
        """Count the pages of TIFFs at URLs, several at a time; leave out those that cannot be counted so."""

        def look(path: Path) -> int | None:
            with suppress(ImageError), store.opened(mirror.url(path)) as file:
                return count_tiff(file)
            return None

        if not paths:
            return {}
        mirror = self._mirror()
        pool = ThreadPoolExecutor(_AT_A_TIME)
        try:
            counts = zip(paths, pool.map(look, paths), strict=True)
            return {path: pages for path, pages in counts if pages is not None}
        finally:
            pool.shutdown(cancel_futures=True)

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
            _make_of_size(path, found)
            os.utime(path, ns=(found.modified, found.modified))
        except OSError as error:  # such as a name that is too long
            self.problems.append(f"{self.named(str(path))}: cannot be worked on ({error.strerror or error})")


def _make_of_size(path: Path, found: store.Entry) -> None:
    path.touch()
    os.truncate(path, found.size)


def _may_hold_several(path: Path) -> bool:
    return path.suffix.lower() in _SEVERAL or not is_image(path)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
