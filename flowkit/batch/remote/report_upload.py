"""Upload of a report to a URL while a run appends to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flowkit.batch.remote import store
from flowkit.errors import OutputError

PAUSE = 5.0
"""Seconds between two uploads."""

_SHARE = 20  # uploads grow with the report: they take at most one part in so many of the time


@contextmanager
def followed(report: Path, url: str, draft: Path) -> Iterator[None]:
    """Upload a report every few seconds while the block appends lines to it, and at its end.

    The file at the URL is replaced as a whole each time. A killed run loses the lines of the last seconds.
    The file exists from the beginning, so that results of a killed run are not taken for older files without
    a report.

    Args:
        report: the local report; if it exists, its lines are already at the URL.
        url: of the report.
        draft: a local file for the copy that is uploaded.

    Raises:
        OutputError: it cannot be written, at the beginning or at the end.
    """
    written = report.stat().st_size if report.exists() else None

    def write() -> None:
        nonlocal written
        data = report.read_bytes() if report.exists() else b""
        data = data[: data.rfind(b"\n") + 1]  # a line may be half there
        if len(data) != written:
            draft.write_bytes(data)
            store.put(draft, url)
            written = len(data)

    write()
    ended = threading.Event()

    def follow() -> None:
        pause = PAUSE
        while not ended.wait(pause):
            began = time.monotonic()
            with suppress(OutputError, OSError):  # it is tried again, and the last time an error counts
                write()
            pause = max(PAUSE, _SHARE * (time.monotonic() - began))

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    except BaseException:
        ended.set()
        follower.join()
        with suppress(OutputError, OSError):
            write()
        raise
    ended.set()
    follower.join()
    write()
