"""The progress of a page."""

from __future__ import annotations

import itertools
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
    done = itertools.count()

    def step() -> None:
        if progress is not None:
            progress(next(done), total)

    step()
    return step
