"""The plan of a batch: which page of which file becomes which file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from flowkit.errors import OutputError
from flowkit.images.writer import BOUND

RESULT = "result"
"""A page's own file, among those that are written for it."""

TABLES = ("components", "readings")
"""Kinds of files beside a page that are JSON; the others are images."""

PARTS = ".flowkit-parts"
"""The folder, below the one for results, where pages wait until all of their document are there."""


@dataclass(frozen=True)
class Sheet:
    """One page to work on.

    Attributes:
        source: the file it is in.
        page: which of the file's, counted from 0; None where it has one.
        out: the file to write.
        maps: more files to write, by what they show ("probability", ...).
        samples: files for the samples, one each, if they are wanted.
        layout: its PAGE or ALTO file, which need not be there; None where layouts are not asked for.
        document: the file that this page's becomes a part of; None where `out` is the result itself.
        title: what messages and the report call the source; by default its path.
    """

    source: Path
    page: int | None
    out: Path
    maps: Mapping[str, Path] = field(default_factory=dict)
    samples: tuple[Path, ...] = ()
    layout: Path | None = None
    document: Path | None = None
    title: str = ""

    @property
    def input(self) -> str:
        """Return the source, as messages and the report call it."""
        return self.title or str(self.source)

    @property
    def name(self) -> str:
        """Return the page, as messages call it."""
        return self.input if self.page is None else f"{self.input}: page {self.page + 1}"

    @property
    def result(self) -> Path:
        """Return the file that its user gets."""
        return self.document or self.out

    @property
    def files(self) -> dict[str, Path]:
        """Return all files that are written for it, by what they show; see `Record.files`."""
        numbered = {f"sample-{number:02}": path for number, path in enumerate(self.samples, 1)}
        return {RESULT: self.out, **self.maps, **numbered}

    def moved(self, to: Callable[[Path], Path]) -> Sheet:
        """Return the page with each path as `to` gives it; messages call it what they called it before."""
        return replace(
            self,
            source=to(self.source),
            out=to(self.out),
            maps={kind: to(path) for kind, path in self.maps.items()},
            samples=tuple(map(to, self.samples)),
            layout=self.layout and to(self.layout),
            document=self.document and to(self.document),
            title=self.input,
        )


@dataclass(frozen=True)
class Document:
    """All pages of one file.

    Attributes:
        place: the result, if there were one page.
        out: the file that they are bound into; None where each is a file of its own.
    """

    sheets: tuple[Sheet, ...]
    place: Path
    out: Path | None = None

    @property
    def parts(self) -> Path:
        """Return the folder where its pages wait to be bound."""
        return self.sheets[0].out.parent

    @property
    def folder(self) -> Path:
        """Return the innermost folder that holds both the document and its pages that wait."""
        assert self.out is not None
        return next(folder for folder in self.out.parents if self.parts.is_relative_to(folder))

    def files(self) -> Iterator[Path]:
        """Yield the paths of all results, without pages that wait to be bound."""
        if self.out is not None:
            yield self.out
        for sheet in self.sheets:
            for kind, path in sheet.files.items():
                if self.out is None or kind != RESULT:
                    yield path


@dataclass(frozen=True)
class Places:
    """The paths of the results of one file.

    Attributes:
        out: the page, black and white or enlarged.
        maps: see `Sheet.maps`.
        samples: the samples, numbered (page.png: page-01.png, page-02.png, ...), if they are wanted.
        layout: see `Sheet.layout`.
    """

    out: Path
    maps: Mapping[str, Path] = field(default_factory=dict)
    samples: Path | None = None
    layout: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """Return every path that is written."""
        return (self.out, *self.maps.values(), *(() if self.samples is None else (self.samples,)))

    def below(self, place: PurePath, suffix: str) -> Places:
        """Return the files in the folders for the place of one input: PNG beside the page, and tables."""
        stem = place.with_name(place.stem)

        def inside(folder: Path, ending: str = ".png") -> Path:
            return folder / stem.with_name(stem.name + ending)

        return Places(
            inside(self.out, suffix),
            {
                kind: inside(folder, ".json" if kind in TABLES else ".png")
                for kind, folder in self.maps.items()
            },
            self.samples and inside(self.samples),
            self.layout and inside(self.layout, ".xml"),
        )

    def page(self, number: str) -> Places:
        """Return the paths of one of several pages that are separate files."""
        return Places(
            _numbered(self.out, number),
            {kind: _numbered(path, number) for kind, path in self.maps.items()},
            self.samples and _numbered(self.samples, number),
            self.layout and _numbered(self.layout, number),
        )


def parts_of(out: Path) -> Path:
    """Return the folder, beside a document that is to be written, where its pages wait."""
    return out.with_name(f".{out.name}.parts")


def plan_document(
    source: Path, pages: int, places: Places, *, samples: int, parts: Path, title: str = ""
) -> Document:
    """Plan the results of one file.

    Args:
        source: the file.
        pages: how many it holds.
        places: where its results go.
        samples: how many are drawn of each page.
        parts: the folder where pages wait if they are to be bound into one file.
        title: see `Sheet.title`.
    """
    if pages == 1:
        return Document((_sheet(source, None, places, samples, title),), places.out)
    bound = places.out.suffix.lower() in BOUND
    sheets = []
    for page in range(pages):
        number = f"{page + 1:0{max(3, len(str(pages)))}}"
        sheet = _sheet(source, page, places.page(number), samples, title)
        if bound:
            out = parts / f"{number}{places.out.suffix.lower()}"
            sheet = replace(sheet, out=out, document=places.out)
        sheets.append(sheet)
    return Document(tuple(sheets), places.out, places.out if bound else None)


def check(
    documents: Iterable[Document],
    *,
    true_name: Callable[[Path], str] = os.path.realpath,
    tells_case: bool = False,
) -> None:
    """Raise OutputError where two results would be one file, or a result would overwrite an input.

    Args:
        documents: the plan.
        true_name: gives all names of one file the same.
        tells_case: A.png and a.png are two files where results go.
    """
    documents = list(documents)
    inputs = {true_name(document.sheets[0].source) for document in documents}
    made: dict[str, Path] = {}
    for document in documents:
        source = document.sheets[0].source
        for path in document.files():
            if true_name(path) in inputs:
                raise OutputError(f"{path}: is an input too, and would be overwritten")
            key = str(path) if tells_case else str(path).casefold()
            if made.get(key) == source:
                raise OutputError(f"{path}: is meant for more than one result of {source}")
            if key in made:
                raise OutputError(
                    f"{made[key]} and {source} would both be written to {path}: name one of them, or take "
                    "them to different folders"
                )
            made[key] = source


def _sheet(source: Path, page: int | None, places: Places, samples: int, title: str) -> Sheet:
    numbers = (f"{sample + 1:0{max(2, len(str(samples)))}}" for sample in range(samples))
    files = () if places.samples is None else tuple(_numbered(places.samples, n) for n in numbers)
    return Sheet(source, page, places.out, places.maps, files, places.layout, title=title)


def _numbered(path: Path, number: str) -> Path:
    return path.with_name(f"{path.stem}-{number}{path.suffix}")
