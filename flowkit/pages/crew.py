"""The work on one page, shared by threads: tiles side by side, while the encoder is ahead of them.

One layer is too little work for several threads; a tile, or a level of the encoder, is not. Each thread does
one operation at a time, and every operation is the same as with one thread, so that the result is, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch

from flowkit.pages.page_features import PageFeatures, Step
from flowkit.pages.tiles import Tile

AHEAD = 2
"""Parts of a page that are worked on at a time, so that no thread waits for the end of one."""


class Part(NamedTuple):
    """Tiles of a page, or of a part of it, and what is to be done with each.

    Attributes:
        features: of the part.
        top: row of the page with which the features begin.
        tiles: of the page, row by row.
        work: on a tile.
    """

    features: PageFeatures
    top: int
    tiles: Sequence[Tile]
    work: Callable[[Tile], None]


def share(parts: Sequence[Part], workers: int) -> None:
    """Do the work on every tile of every part, in threads if there are to be several.

    `work` is called by any thread, for several tiles at a time; the features of its tile are there. In a
    part, tiles begin in their order.

    Raises:
        Exception: the first that `work` raised, when all threads have ended.
    """
    if workers == 1:
        for part in parts:
            for tile in part.tiles:
                part.work(tile)
        return
    crew = _Crew(parts, workers)
    threads = [threading.Thread(target=crew.run, name=f"page-{n}") for n in range(workers)]
    with one_thread_each():
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            crew.stop()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
    if crew.failure is not None:
        raise crew.failure


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Compute every operation with one thread: several may add in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Progress:
    """A part that is worked on."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.begun = 0
        self.open: list[Tile] = []  # begun and not done
        self.rows = sorted({tile.rows.last for tile in part.tiles})

    @property
    def done(self) -> bool:
        return self.begun == len(self.part.tiles) and not self.open

    def wanted(self) -> int:
        """Return the image row down to which to encode: that of the row of tiles after the next ones."""
        last = self.part.tiles[min(self.begun, len(self.part.tiles) - 1)].rows.last
        return next((row for row in self.rows if row > last), last) - self.part.top

    def forget(self) -> None:
        left = [*self.open, *self.part.tiles[self.begun :]]
        if left:
            self.part.features.forget(min(tile.rows.first for tile in left) - self.part.top)


class _Crew:
    """Threads that take what can be done, the tiles first."""

    def __init__(self, parts: Sequence[Part], workers: int) -> None:
        self.changed = threading.Condition()
        self.left = [_Progress(part) for part in parts]
        self.workers = workers
        self.failure: BaseException | None = None

    def stop(self) -> None:
        """Let no thread begin new work."""
        with self.changed:
            self.left.clear()
            self.changed.notify_all()

    def run(self) -> None:
        torch.set_num_threads(1)
        with torch.no_grad():
            while (found := self._next()) is not None:
                try:
                    self._do(*found)
                except BaseException as error:
                    with self.changed:
                        self.failure = self.failure or error
                    self.stop()

    def _next(self) -> tuple[_Progress, Tile | Step] | None:
        with self.changed:
            while True:
                self.left = [one for one in self.left if not one.done]
                if not self.left:
                    self.changed.notify_all()
                    return None
                for progress in self.left[:AHEAD]:
                    if (found := self._begin(progress)) is not None:
                        return progress, found
                self.changed.wait()

    def _begin(self, progress: _Progress) -> Tile | Step | None:
        part = progress.part
        with part.features.lock:
            if progress.begun < len(part.tiles):
                tile = part.tiles[progress.begun]
                if part.features.reached(tile.rows.last - part.top):
                    progress.begun += 1
                    progress.open.append(tile)
                    return tile
            ahead = part.features.reached(progress.wanted())
            return None if ahead else part.features.begin(self.workers + 1)

    def _do(self, progress: _Progress, found: Tile | Step) -> None:
        part = progress.part
        if isinstance(found, Tile):
            part.work(found)
        else:
            part.features.do(found)
        with self.changed, part.features.lock:
            if isinstance(found, Tile):
                progress.open.remove(found)
                progress.forget()
            self.changed.notify_all()
