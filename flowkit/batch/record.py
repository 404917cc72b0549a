"""Records: what a batch says of every page, and the lines of `report.jsonl`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar, get_type_hints

from flowkit.pages.counts import Spread
from flowkit.recipe.values import convert

VERSION = 2
"""The version of `report.jsonl`, which every line names. Lines of version 1 have no `counts`."""

Status = Literal["done", "failed", "kept", "bound", "gone"]
T = TypeVar("T")


@dataclass(frozen=True)
class WrittenFile:
    """A file that was written for a page.

    Attributes:
        path: relative to the folder of the results, or a URL.
        bytes: its size.
        sha256: of its bytes.
    """

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class WorstTile:
    """A part of a page, and its review score.

    Attributes:
        score: see `flowkit.pages.Review`.
        box: left, top, right and bottom, in pixels of the result.
    """

    score: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The result of one page, or of a document into which pages were bound.

    A line of `report.jsonl` is a record as JSON, with the key `version` before all others. Keys that do not
    apply are null, or empty.

    Attributes:
        input: the file, as it was named; or its URL.
        page: its page, counted from 1; None where it has only one, and for a document.
        output: the result: relative to the folder OUT, or to the one that the file OUT is in.
        status: `done`; `failed`; `kept`: the result was there before there was any report, or was accepted,
            and stays; `bound`: the document was written, of pages that are done; `gone`: the input no longer
            has this page, see `notes`.
        error: the reason of a failure.
        notes: what its user should know about the page, one sentence each.
        sha256: of the input.
        bytes: the input's size.
        modified: when the input was changed, in ns since 1970.
        model: the model, as it was named.
        recipe: the name of the model's recipe.
        settings: all that results depend on beside the input: the task, its options, SHA-256s of models.
        files: those that were written, by what they show: `result`, `probability`, `uncertainty`,
            `components`, `readings`, `sample-01`, ...; of a page of a document, `result` is where it waits to
            be bound.
        width: of the result, in pixels.
        height: of the result, in pixels.
        dpi: dots per inch across and down; None where the input does not say.
        ink: the share of pixels that are ink.
        scales: page pixels per pixel that the model of ink saw, the page's main scale first.
        review: the review score of the page, where samples were drawn, or strokes are not in the result.
        worst_tiles: the parts of the page with the highest review scores.
        mean_entropy: of P(ink), in bits per pixel, if samples were drawn.
        counts: what was counted in the samples of the page, where there are any: `ink`, the share of pixels;
            `components`, the number of 8-connected pieces; `stroke_width`, in pixels.
        bits_per_dim: -log2 p(result | page) per pixel, an upper bound, if it was asked for.
        seconds: that the page took.
        finished: when it was done: ISO 8601, UTC.
    """

    input: str
    page: int | None
    output: str
    status: Status
    error: str | None = None
    notes: tuple[str, ...] = ()
    sha256: str | None = None
    bytes: int | None = None
    modified: int | None = None
    model: str | None = None
    recipe: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    files: dict[str, WrittenFile] = field(default_factory=dict)
    width: int | None = None
    height: int | None = None
    dpi: tuple[float, float] | None = None
    ink: float | None = None
    scales: tuple[float, ...] = ()
    review: float | None = None
    worst_tiles: tuple[WorstTile, ...] = ()
    mean_entropy: float | None = None
    counts: dict[str, Spread] = field(default_factory=dict)
    bits_per_dim: float | None = None
    seconds: float | None = None
    finished: str | None = None

    @property
    def name(self) -> str:
        """Return the page, as messages call it."""
        return self.input if self.page is None else f"{self.input}: page {self.page}"

    def to_json(self) -> str:
        """Return the record as a line of `report.jsonl`."""
        return json.dumps({"version": VERSION, **asdict(self)})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Record:
        """Make a record of plain values, as JSON has them.

        Raises:
            ValueError: a value is not of its field's type.
        """
        made: dict[str, Any] = {}
        if "files" in values:
            made["files"] = {kind: _read(WrittenFile, file) for kind, file in values["files"].items()}
        if "counts" in values:
            made["counts"] = {name: _read(Spread, spread) for name, spread in values["counts"].items()}
        if "worst_tiles" in values:
            made["worst_tiles"] = tuple(_read(WorstTile, tile) for tile in values["worst_tiles"])
        hints = _HINTS[cls]
        return cls(**{k: convert(v, hints[k]) for k, v in values.items() if k not in made}, **made)

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Read a line of `report.jsonl`.

        Raises:
            ValueError: it is not what `to_json` writes.
        """
        try:
            said = json.loads(line, parse_constant=_number, parse_float=_number)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        version = said.pop("version", None) if isinstance(said, dict) else None
        if version not in (1, VERSION):
            raise ValueError(f"expected an object of version 1 or {VERSION}")
        if version == 1:
            said.setdefault("counts", {})
        if set(said) != set(_HINTS[cls]):
            raise ValueError("expected all keys of a record, and no others")
        if not all(isinstance(said[key], dict) for key in ("files", "counts")):
            raise ValueError("files and counts must be objects")
        if not isinstance(said["worst_tiles"], list):
            raise ValueError("worst_tiles must be a list")
        record = cls.of(said)
        counts = (record.page, record.width, record.height)
        if any(count is not None and count < 1 for count in counts):
            raise ValueError("page, width and height must be 1 or more")
        return record


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number of JSON")
    return value


def _read(kind: type[T], said: Any) -> T:
    """Convert an object of JSON to a class with the same keys."""
    hints = _HINTS[kind]
    if not isinstance(said, dict) or set(said) != set(hints):
        raise ValueError(f"expected an object with the keys {', '.join(hints)}")
    return kind(**{name: convert(value, hints[name]) for name, value in said.items()})


_HINTS: dict[Any, dict[str, Any]] = {
    kind: get_type_hints(kind) for kind in (WrittenFile, WorstTile, Spread, Record)
}
