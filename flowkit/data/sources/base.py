"""The base class of sources of training pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowkit.data.tasks import Endless, Sheet, Task

Found = Sequence[Sheet] | Endless


class Source:
    """Pages to train on. Register a subclass, and data files can name it:

        @register("microfilm")
        class Microfilm(Source):
            def __init__(self, task: Task, base: Path, *, path: str, reel: int = 1): ...

    The keyword-only parameters are the options, their annotations are checked, as for layers.

    Args:
        task: what the pages are for.
        base: what relative paths start from: the folder of the data file, or the working directory.
    """

    kind = "source"

    def __init__(self, task: Task, base: Path) -> None:
        self.task = task
        self.base = base

    def find(self) -> Found:
        """Return the pages, not yet decoded, in a stable order.

        Raises:
            DataError: all that is wrong, a line each.
        """
        raise NotImplementedError
