"""How far a page has come."""

from __future__ import annotations

import itertools
from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


def counted(progress: Progress | None, total: int) -> Callable[[], None]:
    """A function that reports one step more at each call; the start is reported at once.

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
