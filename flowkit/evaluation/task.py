"""What every kind of evaluation looks like from outside."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from flowkit.evaluation.report import Findings
from flowkit.evaluation.results import Entry, Row


class Job(NamedTuple):
    """A page that has not been scored yet; `score` does it."""

    set: str
    page: str
    score: Callable[[], list[Row]]


class Evaluation(Protocol):
    """Pages to be scored one after the other, and what they come to."""

    @property
    def entries(self) -> Sequence[Entry]:
        """All that is scored on every page."""
        ...

    @property
    def scores(self) -> Sequence[str]:
        """The names of the scores; an entry may lack some."""
        ...

    @property
    def rows(self) -> Sequence[Row]:
        """Of the pages that are done."""
        ...

    def jobs(self) -> Sequence[Job]:
        """All pages, set by set."""
        ...

    def findings(self) -> Findings:
        """Of the pages that are done."""
        ...


def page_names(images: Iterable[Path]) -> dict[Path, str]:
    """As much of their paths as tells images apart within a set.

    >>> page_names([Path("a/2009/img/1.png"), Path("a/2010/img/1.png")])[Path("a/2009/img/1.png")]
    '2009/img/1.png'
    """
    images = list(images)
    above = os.path.commonpath([image.parent for image in images])
    return {image: image.relative_to(above).as_posix() for image in images}
