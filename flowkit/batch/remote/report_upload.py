"""A report at a URL, which follows the one that a run appends to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flowkit.batch.remote import store
from flowkit.errors import OutputError

PAUSE = 5.0
"""Seconds between two writings."""

_SHARE = 20  # one part in so many of the time goes into them: they grow with the report


@contextmanager
def followed(report: Path, url: str, draft: Path) -> Iterator[None]:
    """While the block appends lines, they are written to the URL every few seconds, and all at its end.

    The file there is replaced as a whole each time. A run that is killed loses the lines of these seconds. It
    is there from the beginning on, so that what such a run has done is not taken for somebody else's.

    Args:
        report: where the lines are; what it holds now, if it is there, is at the URL.
        url: where they go.
        draft: a file to write on the way.

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
            with suppress(OutputError, OSError):  # the last one counts
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
