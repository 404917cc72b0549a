"""Construction of a training set: pages are found, decoded, checked and split before training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from flowkit.data.dataset import Degrade, Share, TrainingSet
from flowkit.data.describe import Given, Weighted, describe
from flowkit.data.fingerprint import fingerprint
from flowkit.data.page_cache import PageCache, Pages, WholePages
from flowkit.data.tasks import Endless, Pair, Sheet, Task
from flowkit.errors import DataError

CACHE = 2_000_000_000  # bytes


def training_set(
    sources: Sequence[Given],
    *,
    task: Task,
    patch: int,
    seed: int,
    length: int,
    degrade: Degrade | None = None,
    zoom: Sequence[float] = (1.0, 1.0),
    validation: float | Sequence[Given] | None = None,
    cache: int | None = None,
) -> TrainingSet:
    """Find, decode and check all pages, split them, and return the samples of a run.

    Args:
        sources: folders, data files, `Source`s, or mappings such as `{"type": "drawn", "pages": 20}`: see
            docs/reference/data.md.
        task: the model's task: `Task.of(model)`.
        patch: side of a sample's target, in pixels.
        seed: seed of the samples.
        length: number of samples.
        degrade: degradations of the images; see `TrainingSet`.
        zoom: range of enlargement of patches; see `TrainingSet`.
        validation: a share of the pages, or sources of other pages; it overrides that of a data file. Without
            either, nothing is held back. A share is taken of each source's different pages, and chosen by
            their pixels, so that it does not depend on names, folders or order.
        cache: most bytes of decoded pages to keep in memory, shared by all workers; `CACHE` by default.

    Raises:
        DataError: all problems of the sources, the pages and the patch, a line each.
    """
    task.check_patch(patch)
    said = describe(sources, task)
    held = said.validation
    if isinstance(validation, int | float):
        held = float(validation)
    elif validation is not None:
        others = describe(validation, task)
        said.problems.extend(others.problems)
        held = others.sources
    if isinstance(held, float) and not 0 <= held < 1:
        said.problems.append(f"validation must be a share of the pages, 0 or more and below 1, got {held}")
    if not said.sources and not said.problems:
        said.problems.append("no training data was given")
    budget = next(n for n in (cache, said.cache, CACHE) if n is not None)
    checked = _Checked(PageCache(budget), said.problems)
    trained = [checked.take(source) for source in said.sources]
    others_at = len(checked.sheets)
    if isinstance(held, list):
        for source in held:
            checked.take(source, lasting=True)
        _refuse_overlap(checked, others_at)
        beyond = set(range(others_at, len(checked.sheets)))
    else:
        beyond = _hold_back(checked, trained, held or 0.0)
    shares = [
        _share(source, found, beyond, checked) for source, found in zip(said.sources, trained, strict=True)
    ]
    if checked.problems:
        raise DataError("\n".join(checked.problems))
    pages = Pages(tuple(checked.sheets), checked.cache)
    return TrainingSet(
        task,
        pages,
        shares,
        patch=patch,
        seed=seed,
        length=length,
        degrade=degrade,
        zoom=zoom,
        fingerprints=frozenset(checked.prints[int(n)] for share in shares for n in share.numbers),
        notes=[f"{note} ({_some(names)})" for note, names in checked.notes.items()],
        validation=WholePages(pages, sorted(beyond), task.scale),
    )


@dataclass
class _Checked:
    """Pages that were decoded once, and the errors of others.

    Attributes:
        cache: keeps them while there is room.
        problems: a line each.
        sheets: the pages without errors, in the order of their sources.
        prints: their fingerprints.
        areas: of their targets, in pixels.
        notes: of the reader, each with the names of the pages that it is about.
    """

    cache: PageCache
    problems: list[str]
    sheets: list[Sheet] = field(default_factory=list)
    prints: list[str] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def take(self, given: Weighted, *, lasting: bool = False) -> range | Endless:
        """Find and check a source's pages; return their numbers, or the pages if they are endless."""
        first = len(self.sheets)
        try:
            found = given.source.find()
        except DataError as error:
            self.problems.append(str(error))
            return range(first, first)
        if isinstance(found, Endless):
            if lasting:
                self.problems.append(f"{given.name}: has no end of pages, and cannot be validated on")
            return found
        before = len(self.problems)
        for sheet, read in _decoded(found):
            if isinstance(read, DataError):
                self.problems.append(str(read))
                continue
            self.cache.put(len(self.sheets), read)
            self.sheets.append(sheet)
            self.prints.append(fingerprint(read.target if read.image is None else read.image))
            self.areas.append(float(read.target.shape[0] * read.target.shape[1]))
            for note in read.notes:
                self.notes.setdefault(note, []).append(sheet.name)
        if len(self.sheets) == first and len(self.problems) == before:
            self.problems.append(f"{given.name}: no pages")
        return range(first, len(self.sheets))


def _some(names: Sequence[str]) -> str:
    """Name the first of some pages, and the number of the others."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _decoded(sheets: Sequence[Sheet]) -> Iterator[tuple[Sheet, Pair | DataError]]:
    """Yield each page and its result, decoded a few at a time (decoders release Python's lock)."""
    threads = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        rest = iter(sheets)
        while some := list(islice(rest, 2 * threads)):
            yield from zip(some, pool.map(_attempt, some), strict=True)


def _attempt(sheet: Sheet) -> Pair | DataError:
    try:
        return sheet.read()
    except DataError as error:
        return error


def _refuse_overlap(checked: _Checked, others_at: int) -> None:
    trained = {
        print_: sheet.name for sheet, print_ in zip(checked.sheets[:others_at], checked.prints, strict=False)
    }
    for sheet, print_ in zip(checked.sheets[others_at:], checked.prints[others_at:], strict=True):
        if print_ in trained:
            checked.problems.append(
                f"{sheet.name}: is for validation, but {trained[print_]}, the same page, is trained on"
            )


def _hold_back(checked: _Checked, found: Sequence[range | Endless], share: float) -> set[int]:
    """Choose a share of each source's different pages, at least one: those with the lowest fingerprints."""
    if not share:
        return set()
    different = [sorted({checked.prints[n] for n in pages}) for pages in found if isinstance(pages, range)]
    held = {
        print_ for own in different for print_ in own[: min(round(share * len(own)), max(0, len(own) - 1))]
    }
    if not held and (most := max(different, key=len, default=[]))[1:]:
        held = {most[0]}
    if not held:
        checked.problems.append(f"a share of {share:g} of the pages cannot be held back: there is only one")
    return {number for number, print_ in enumerate(checked.prints) if print_ in held}


def _share(given: Weighted, found: range | Endless, beyond: set[int], checked: _Checked) -> Share:
    if isinstance(found, Endless):
        return Share(given.name, given.weight, np.empty(0, np.int64), np.empty(0), found)
    numbers = np.array([number for number in found if number not in beyond], np.int64)
    if len(found) and not len(numbers):
        checked.problems.append(f"{given.name}: all of its pages are held back for validation")
    return Share(given.name, given.weight, numbers, np.array([checked.areas[n] for n in numbers]))
