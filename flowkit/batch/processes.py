"""Worker processes that share the pages of a batch; any may die without taking the run with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple

from flowkit.batch.page_work import PageWork, failure
from flowkit.batch.plan import Sheet
from flowkit.batch.tasks import Fields
from flowkit.errors import FlowkitError

STARTS = 3
"""Number of starts of a process for one page, if it dies while it starts."""

Start = Callable[[], PageWork]
"""A picklable function that starts a process: it loads the model and returns a function that does a page."""


def work_through(sheets: Sequence[Sheet], start: Start, *, jobs: int) -> Iterator[tuple[Sheet, Fields]]:
    """Do every page in other processes; yield the fields of each record when they are ready.

    If a process dies while it works on a page, that page fails. A process that dies while it starts is
    started again; after three such deaths in a row, a page fails. When more pages have failed in this way
    than there are processes, and no process has started in between, the run ends.

    Args:
        sheets: the pages, in the order in which they are begun.
        start: see `Start`.
        jobs: most processes.

    Raises:
        FlowkitError: a process cannot load the model, or no process can be started.
    """
    workers = [_Worker(start) for _ in range(min(jobs, len(sheets)))]
    try:
        yield from _share(iter(sheets), workers)
    finally:
        for worker in workers:
            worker.stop()


def _share(sheets: Iterator[Sheet], workers: list[_Worker]) -> Iterator[tuple[Sheet, Fields]]:
    waiting: dict[Any, _Worker] = {worker.connection: worker for worker in workers}
    lost = 0  # pages in a row for which no process could be started
    while waiting:
        for connection in wait(list(waiting)):
            worker = waiting.pop(connection)
            done = worker.answer()
            if done is not None:
                yield done
            if worker.ready:
                lost = 0
            if worker.ready or worker.given_up:
                sheet = next(sheets, None)
                if sheet is None:
                    continue
                if worker.given_up:
                    lost += 1
                    how = worker.give_up()
                    if lost > len(workers):
                        raise FlowkitError(
                            f"no process can be started to work on the pages: the last {how}; "
                            "what is done stays done (with fewer --jobs, each has more memory)"
                        )
                    yield sheet, failure(f"{sheet.name}: the process to work on it {how}")
                else:
                    worker.begin(sheet)
            waiting[worker.connection] = worker


class _NoStart(NamedTuple):
    """The message of a process that could not start."""

    why: str


class _Worker:
    """A process, which is started again when it dies, and the page that it works on.

    Attributes:
        ready: whether it has started, and can be given a page.
    """

    def __init__(self, start: Start) -> None:
        self.start = start
        self._deaths: list[str] = []  # while it started, in a row
        self._spawn()

    def _spawn(self) -> None:
        # Spawned: a fork would share the report's lock, and have PyTorch's locks without its threads.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs, self.start), daemon=True)
        self.process.start()
        theirs.close()
        self.sheet: Sheet | None = None
        self.ready = False
        self._why = ""  # the reason that it could not start, if it gave one

    @property
    def given_up(self) -> bool:
        """Return true if it has died while starting as often as is tried for one page."""
        return len(self._deaths) >= STARTS

    def give_up(self) -> str:
        """Count deaths from 0 again, for another page; return how it died."""
        how = self._deaths[-1]
        self._deaths.clear()
        return f"{how} while it started, {STARTS} times"

    def begin(self, sheet: Sheet) -> None:
        """Give it a page."""
        self.sheet = sheet
        with suppress(OSError):  # it is dead, which `answer` will report
            self.connection.send(sheet)

    def answer(self) -> tuple[Sheet, Fields] | None:
        """Return the result of its page, also if it died on it; None if it had no page."""
        sheet, self.sheet = self.sheet, None
        try:
            said = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            how = self._why or _how(self.process.exitcode)
            if not self.ready:
                self._deaths.append(how)
            self.connection.close()
            self._spawn()
            if sheet is None:
                return None
            return sheet, failure(f"{sheet.name}: the process that worked on it {how}")
        if isinstance(said, FlowkitError):
            raise said
        if isinstance(said, _NoStart):
            self._why = f"failed ({said.why})"
            return None
        self.ready = True
        self._deaths.clear()
        return None if sheet is None else (sheet, said)

    def stop(self) -> None:
        """End the process at once."""
        self.process.terminate()
        self.process.join()
        self.connection.close()


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"was killed ({name}{', out of memory?' if name == 'SIGKILL' else ''})"
    return f"ended with exit code {code}"


def _serve(connection: Connection, start: Start) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends its processes
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        page = start()
    except FlowkitError as error:
        connection.send(error)
        return
    except Exception as error:  # such as memory that a GPU lacks
        connection.send(_NoStart(f"{type(error).__name__}: {error}"))
        return
    connection.send(None)
    while True:
        try:
            sheet = connection.recv()
        except EOFError:
            return
        connection.send(page(sheet, _silent))


def _end_with_parent() -> None:
    # Processes of a killed run must not write files while the next run works.
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _silent(done: int, total: int) -> Any:
    pass
