"""Local paths that stand for URLs, and the transfer of a page's files to the process that works on it."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from flowkit.batch.plan import Sheet
from flowkit.batch.remote import store
from flowkit.errors import FlowkitError
from flowkit.files import make_folder

WORK = "work"
"""The folder in a mirror for files that stand for no URL."""

_PREFIX = "flowkit-page-"


@dataclass(frozen=True)
class Mirror:
    """A folder in which every URL has a path: `s3://archive/1.png` is ROOT/s3-2/archive/1.png.

    The 2 counts the slashes behind the colon, so that a path is one URL again, as it was typed. Everything
    that plans a run works on these paths; a `Path` never holds a URL.

    Attributes:
        root: the folder, absolute and without links.
    """

    root: Path

    def path(self, url: str) -> Path:
        """Return the path that stands for a URL. Raises FlowkitError for a malformed URL."""
        protocol, rest = store.split(url)
        name, _, slashes = protocol.partition(":")
        return self.root / f"{name}-{len(slashes)}" / rest

    def holds(self, path: Path) -> bool:
        """Return true if a path stands for a URL."""
        return path.is_relative_to(self.root)

    def named(self, text: str) -> str:
        """Replace paths of the mirror by their URLs, in a path or in a message.

        >>> Mirror(Path("/tmp/m")).named("/tmp/m/s3-2/archive/1.png: the file is empty")
        's3://archive/1.png: the file is empty'
        """
        inside = re.escape(str(self.root)) + r"/([A-Za-z][A-Za-z0-9+._]*)-(\d+)(/|\b)"
        return re.sub(inside, lambda found: f"{found[1]}:{'/' * int(found[2])}", text)

    def url(self, path: Path) -> str:
        """Return the URL of one of the mirror's paths."""
        return self.named(str(path))


@contextmanager
def named_by(named: Callable[[str], str]) -> Iterator[None]:
    """Raise an error of the block again, with the names that files have for their user."""
    try:
        yield
    except FlowkitError as error:
        raise type(error)(named(str(error))) from None
    except MemoryError:
        raise
    except Exception as error:
        raise FlowkitError(named(f"{type(error).__name__}: {error}")) from error


class FetchedPages:
    """A `Staging` that fetches the files of a page from URLs, and puts its results there.

    A source that holds several pages is kept until another one is wanted, so that it is not fetched for each
    of them.

    Args:
        mirror: of the run, whose folder may be on another machine.
    """

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self._key: object = None
        self._drop: weakref.finalize[..., FetchedPages] | None = None
        self._kept = mirror

    @contextmanager
    def __call__(self, sheet: Sheet) -> Iterator[Sheet]:
        """Give a page whose files are on this machine.

        When the block ends without an error, what it wrote is put where it belongs, the result last. An error
        of the block names files by their URLs.

        Raises:
            ImageError: the source cannot be fetched.
            OutputError: a result cannot be written.
        """
        with tempfile.TemporaryDirectory(
            prefix=_PREFIX, dir=self._inside(), ignore_cleanup_errors=True
        ) as folder:
            here = Mirror(Path(folder).resolve())
            source = here if sheet.page is None or not self.mirror.holds(sheet.source) else self._keep(sheet)
            local = sheet.moved(lambda path: self._moved(path, here))
            local = replace(local, source=self._moved(sheet.source, source))
            if source is here and self.mirror.holds(sheet.source):
                _fetch(self.mirror.url(sheet.source), local.source)
            with named_by(lambda text: self.mirror.named(source.named(here.named(text)))):
                yield local
            for kind, place in reversed(sheet.files.items()):
                if self.mirror.holds(place):
                    store.put(local.files[kind], self.mirror.url(place))

    def _keep(self, sheet: Sheet) -> Mirror:
        """Return the path of the source, fetched if it is another one or has changed."""
        url = self.mirror.url(sheet.source)
        key = url, store.entry(url)
        if self._key != key:
            self._key = None
            if self._drop is not None:
                self._drop()
            self._kept = Mirror(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._inside())).resolve())
            self._drop = weakref.finalize(self, shutil.rmtree, self._kept.root, ignore_errors=True)
            _fetch(url, self._kept.path(url))
            self._key = key
        return self._kept

    def _moved(self, path: Path, here: Mirror) -> Path:
        return here.path(self.mirror.url(path)) if self.mirror.holds(path) else path

    def _inside(self) -> Path | None:
        # where the run's folder is on this machine, in it: the run removes it, even if this process is killed
        inside = self.mirror.root / WORK
        return inside if inside.is_dir() else None


def _fetch(url: str, path: Path) -> None:
    make_folder(path.parent)
    store.fetch(url, path)
