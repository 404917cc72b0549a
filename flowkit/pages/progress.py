"""The progress of a page."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

Progress = Callable[[int, int], None]
"""A function that is called with the steps done and their total."""


def counted(progress: Progress | None, total: int) -> Callable[[], None]:
    """Return a function that reports one more step at each call; the start is reported at once.

    >>> step = counted(lambda done, total: print(done, "of", total), 2)
    0 of 2
    >>> step()
    1 of 2
    """
    done, lock = itertools.count(), threading.Lock()  # code that draws the progress need not be thread-safe

    def step() -> None:
        if progress is not None:
            with lock:
                progress(next(done), total)

    step()
    return step
