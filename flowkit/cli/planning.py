"""What `flowkit binarize` and `flowkit upscale` do with which files, found out before the work begins."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from flowkit.batch.inputs import find, is_many, is_there
from flowkit.batch.plan import Document, Places, check, one, tree
from flowkit.batch.remote.session import Remote
from flowkit.batch.tasks import Record, Work
from flowkit.errors import FlowkitError, OutputError
from flowkit.images.reader import check_there
from flowkit.images.writer import check_folder, check_output

MAPS = (".png", ".tif", ".tiff")
"""Suffixes of what is written beside the pages."""


class Verb(NamedTuple):
    """What is different in each verb.

    Attributes:
        work: what is done with a page.
        suffixes: of files that results can be.
        maps: `Places.maps` as they were given.
        describe: a result in some words, from its record.
    """

    work: Work
    suffixes: tuple[str, ...]
    maps: Mapping[str, str]
    describe: Callable[[Record], str]


class Plan(NamedTuple):
    """What goes where.

    Attributes:
        documents: the pages.
        folder: for results, where they go into one.
        state: the folder of the report.
        problems: inputs that stand for no page at all.
    """

    documents: list[Document]
    folder: Path | None
    state: Path | None
    problems: list[str]


def planned(args: argparse.Namespace, verb: Verb, remote: Remote) -> Plan:
    """What goes where; raises OutputError for whatever can be known to fail before the work begins."""
    inputs = [remote.input(text) for text in args.input]
    if not is_many(inputs):
        check_there(Path(inputs[0]))  # before anything about OUT: it is the first thing that was typed
    out, samples = remote.output(args.out), verb.work.samples
    maps = {kind: remote.output(text) for kind, text in verb.maps.items()}
    places = Places(out, maps, None if args.save_samples is None else remote.output(args.save_samples))
    others = [path for path in (*maps.values(), places.samples) if path is not None]
    if not _is_folder(args, verb, out, inputs):
        if args.html:
            raise OutputError(f"--html needs a folder for the results, and {out} is a file")
        check_output(out, suffixes=verb.suffixes)
        for path in maps.values():
            check_output(path, suffixes=MAPS)
        if places.samples is not None:
            check_output(places.samples, suffixes=verb.suffixes)
        remote.count_ahead([Path(inputs[0])])
        document = one(Path(inputs[0]), places, samples, count=remote.count)
        check([document], true_name=remote.true_name)
        for path in (out, *others):
            remote.check_output(path.parent)
        return Plan([document], None, document.parts if document.out else None, remote.problems)
    for folder in (out, *others):
        check_folder(folder if folder.exists() else folder.parent)
    found, problems = find(inputs, stdin=sys.stdin.buffer.read, leave_out=(out, *others), local=remote.input)
    problems = remote.problems + problems
    if not any(is_there(file.source) for file in found):
        missing = [f"{file.source}: no such file" for file in found]
        raise FlowkitError("\n".join(shown(remote.named(line)) for line in problems + missing))
    remote.count_ahead(file.source for file in found)
    documents = tree(found, places, samples, "." + (args.format or "png"), count=remote.count)
    check(documents, true_name=remote.true_name)
    for folder in (out, *others):
        remote.check_output(folder)
    return Plan(documents, out, out, problems)


def _is_folder(args: argparse.Namespace, verb: Verb, out: Path, inputs: list[str]) -> bool:
    """Whether OUT is one."""
    if out.is_dir() or args.out.endswith((os.sep, "/")):
        return True
    called_like_a_file = out.suffix.lower() in verb.suffixes
    if is_many(inputs):
        if called_like_a_file and not out.exists():
            raise OutputError(f"{out}: is called like a file, expected a folder for what may be many pages")
        return True
    if args.format is not None and called_like_a_file:
        raise OutputError(f"{out}: --format is for folders; a file's format is its suffix")
    return args.format is not None


def shown(text: str) -> str:
    """Text on one line that any terminal can take: file names may hold anything.

    >>> shown("a b\\nc\\udcff")
    'a b\\\\nc\\\\udcff'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
