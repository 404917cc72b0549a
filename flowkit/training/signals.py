"""Handling of SIGINT and SIGTERM: the current step is finished first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted:
    """True once a signal has arrived; `number` is its number."""

    def __init__(self) -> None:
        self.number = 0

    def __bool__(self) -> bool:
        return self.number != 0


@contextmanager
def interruption() -> Iterator[Interrupted]:
    """Record SIGINT and SIGTERM instead of ending at once: the current step is finished and saved.

    A second signal takes effect at once. Outside of the main thread, where Python receives no signals,
    nothing is recorded.
    """
    interrupted = Interrupted()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        interrupted.number = number
        restore()

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield interrupted
    finally:
        restore()
