"""`report.html`: the pages of a folder with pictures, what a person should look at first on top."""

from __future__ import annotations

import base64
import io
import os
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import import_module, resources
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

from flowkit.batch.plan import RESULT, TABLES
from flowkit.batch.record import Record, WorstTile
from flowkit.batch.report import Report
from flowkit.errors import ImageError, printable
from flowkit.files import check_no_link, replacing
from flowkit.images.reader import read
from flowkit.images.writer import BOUND

NAME = "report.html"

MOST_PICTURES = 200
"""Number of pages with pictures: with more, the file would be too large for browsers."""

_TEMPLATE = "report.html.j2"
_SIDE = 720  # of a picture, in pixels
_COLUMNS = (
    ("review", "review score", "how much of the ink is uncertain, 0 if all samples agree; sorts the pages"),
    ("mean_entropy", "mean entropy", "of P(ink), in bits per pixel, if samples were drawn"),
    ("bits_per_dim", "bits per pixel", "of the result, an upper bound from the model, with --likelihood"),
    ("ink", "ink", "the share of pixels that are ink"),
    ("seconds", "seconds", "the time that the page took"),
)  # fmt: skip


class Picture(NamedTuple):
    """A small picture: what it shows, a link to the file, and a JPEG in base 64."""

    kind: str
    link: str | None
    data: str


class Row(NamedTuple):
    """A page, links to its result and its tables, what its samples differ in, and pictures of it."""

    record: Record
    link: str | None
    tables: list[tuple[str, str]]
    between: str | None
    pictures: list[Picture]


def write(report: Report) -> Path:
    """Write the page for all that a report knows, into its folder; one file, which needs no other.

    Failures come first, then pages by review score, worst first, then those without one by bits per pixel.
    The worst have pictures of the input, of the result, with the tiles framed that are most in doubt, and of
    the maps.

    Raises:
        OutputError: it cannot be written.
    """
    records = sorted((one for one in report.records.values() if one.status != "bound"), key=order)
    rows = []
    for index, record in enumerate(records):
        pictures = _pictures(record, report) if index < MOST_PICTURES and record.error is None else ()
        there = record.error is None
        link = _link(record.output) if there else None
        rows.append(Row(record, link, _tables(record), _between(record), list(pictures)))
    jinja2: Any = import_module("jinja2")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = printable
    template = environment.from_string(resources.files(__package__).joinpath(_TEMPLATE).read_text("utf-8"))
    text = template.render(
        rows=rows,
        failed=sum(record.status == "failed" for record in records),
        summary=_summary(records),
        columns=_COLUMNS,
        most=MOST_PICTURES,
    )
    path = report.folder / NAME
    check_no_link(path)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path


def order(record: Record) -> tuple[Any, ...]:
    """Return a key that sorts failures first, then pages by review score and bits per pixel, worst first."""
    scores = (record.review, record.bits_per_dim)
    worst_first = [(value is None, -(value or 0)) for value in scores]
    return record.status != "failed", *worst_first, record.output, record.page or 0


def _summary(records: list[Record]) -> Iterator[tuple[str, str]]:
    """Sum up the pages, with the number of pages where there is more than one of a kind."""
    yield "status", _counted(record.status for record in records)
    yield "notes", f"{sum(len(record.notes) for record in records):,}"
    yield "model", _counted(f"{one.model} (recipe {one.recipe})" for one in records if one.model is not None)
    options = (record.settings for record in records if record.settings)
    yield "options", _counted(", ".join(f"{k} {v}" for k, v in one.items()) for one in options)
    yield "time of all pages", f"{sum(record.seconds or 0 for record in records) / 60:,.1f} minutes"


def _counted(values: Iterable[str]) -> str:
    return "; ".join(f"{value}: {count:,}" for value, count in Counter(values).most_common(5)) or "none"


def _tables(record: Record) -> list[tuple[str, str]]:
    links = ((kind, _link(record.files[kind].path)) for kind in TABLES if kind in record.files)
    return [(kind, link) for kind, link in links if link is not None]


def _between(record: Record) -> str | None:
    """Say in words between what numbers the samples of a page lie; None where there are none."""
    if not record.counts:
        return None
    ink, pieces, width = (record.counts[name] for name in ("ink", "components", "stroke_width"))
    return (
        f"in {record.settings['samples']} samples: "
        f"ink {100 * ink.least:.2f} to {100 * ink.greatest:.2f} % of the page, "
        f"{pieces.least:,.0f} to {pieces.greatest:,.0f} pieces, "
        f"strokes {width.least:.2f} to {width.greatest:.2f} pixels wide"
    )


def _link(path: str) -> str | None:
    """Return a relative link; None for a file in another store, which no browser opens."""
    return None if "://" in path else urllib.parse.quote(os.fsencode(path))


def _pictures(record: Record, report: Report) -> Iterator[Picture]:
    page = None if record.page is None else record.page - 1
    inner = page if Path(record.output).suffix.lower() in BOUND else None
    size = record.width, record.height
    sources: list[tuple[str, str, int | None, str | None]] = [
        ("input", record.input, page, None),
        (RESULT, str(report.folder / record.output), inner, _link(record.output)),
    ]
    for kind, file in record.files.items():
        if kind not in (RESULT, *TABLES) and not kind.startswith("sample"):
            name = file.path if "://" in file.path else str(report.folder / file.path)
            sources.append((kind, name, None, _link(file.path)))
    for kind, name, number, link in sources:
        data = _jpeg(report, name, number, record.worst_tiles, size)
        if data is not None:
            yield Picture(kind, link, data)


def _jpeg(
    report: Report, name: str, page: int | None, tiles: tuple[WorstTile, ...], size: tuple[Any, Any]
) -> str | None:
    try:
        with report.storage.fetched(name) as path:
            values = read(path, page=page).eight_bits()
    except ImageError:
        return None
    image = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values).convert("RGB")
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    if all(size):
        across, down = image.width / size[0], image.height / size[1]
        draw = ImageDraw.Draw(image)
        for left, top, right, bottom in (tile.box for tile in tiles if tile.score > 0):
            low = min(image.width, right * across) - 1, min(image.height, bottom * down) - 1
            corner = left * across, top * down
            draw.rectangle((corner, tuple(map(max, corner, low))), outline=(220, 60, 20), width=2)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=75)
    return base64.b64encode(data.getvalue()).decode()
