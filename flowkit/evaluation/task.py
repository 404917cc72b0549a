"""The interface of an evaluation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from flowkit.evaluation.report import Findings
from flowkit.evaluation.results import Entry, Row


class Job(NamedTuple):
    """A page to score; `score` scores it."""

    set: str
    page: str
    score: Callable[[], list[Row]]


class Evaluation(Protocol):
    """Pages to score one after the other, and their results."""

    @property
    def entries(self) -> Sequence[Entry]:
        """Return all entries that are scored on every page."""
        ...

    @property
    def scores(self) -> Sequence[str]:
        """Return the names of the scores; an entry may lack some."""
        ...

    @property
    def rows(self) -> Sequence[Row]:
        """Return the results of the pages that are done."""
        ...

    def jobs(self) -> Sequence[Job]:
        """Yield all pages, set by set."""
        ...

    def findings(self) -> Findings:
        """Return the results of the pages that are done."""
        ...


def page_names(images: Iterable[Path]) -> dict[Path, str]:
    """Return as much of the images' paths as tells them apart within a set.

    >>> page_names([Path("a/2009/img/1.png"), Path("a/2010/img/1.png")])[Path("a/2009/img/1.png")]
    '2009/img/1.png'
    """
    images = list(images)
    above = os.path.commonpath([image.parent for image in images])
    return {image: image.relative_to(above).as_posix() for image in images}
