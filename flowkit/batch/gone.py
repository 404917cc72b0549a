"""Pages that are gone: results of earlier runs from pages that their document no longer has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from flowkit.batch.plan import Document
from flowkit.batch.record import Record
from flowkit.batch.report import Report

MOST_NAMED = 5  # pages of a document, in its note


def name_gone(documents: Iterable[Document], report: Report) -> list[str]:
    """Write down which pages of earlier runs are gone; return a note for each document that had such pages.

    Files of such pages stay: only their user can tell whether they are still needed.
    """
    of_input: dict[str, list[Record]] = defaultdict(list)
    for record in report.records.values():
        if record.status in ("done", "kept"):
            of_input[record.input].append(record)
    return [note for document in documents for note in _gone(document, of_input, report)]


def _gone(document: Document, of_input: dict[str, list[Record]], report: Report) -> Iterator[str]:
    source = document.sheets[0].input
    planned = {report.key(sheet) for sheet in document.sheets}
    if document.out is not None:
        planned.add((report.output(document.out), None))
    place = report.output(document.place)
    gone = [
        record
        for record in of_input.get(source, [])
        if (record.output, record.page) not in planned
        and place in (record.output, _without_number(record.output))
        and (report.folder / record.output).exists()
    ]
    if not gone:
        return
    count = len(document.sheets)
    has = f"has {count} page{'' if count == 1 else 's'} now"
    for record in gone:
        report.add_gone(record, f"{source} {has}; this result is from an earlier run")
    names = [one.output if one.output != place or one.page is None else f"page {one.page}" for one in gone]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    yield f"{source}: {has}; remaining results of an earlier run: {', '.join(names[:MOST_NAMED])}{more}"


def _without_number(output: str) -> str:
    """Return the result of a document with one page, from that of a page of several.

    >>> _without_number("b/book-001.png")
    'b/book.png'
    """
    path = PurePath(output)
    return str(path.with_name(re.sub(r"-\d{3,}$", "", path.stem) + path.suffix))
