"""`report.html`: the pages of a folder with small pictures, what a person should look at first on top."""

from __future__ import annotations

import base64
import html
import io
import os
import urllib.parse
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from flowkit.batch.record import Record
from flowkit.batch.report import Report
from flowkit.errors import ImageError, printable
from flowkit.files import replacing
from flowkit.images.reader import read
from flowkit.images.writer import BOUND

NAME = "report.html"

MOST_PICTURES = 200
"""Pages with pictures: more would make a file that no browser likes."""

_SIDE = 280  # of a picture, in pixels
_COLUMNS = ("review", "mean_entropy", "bits_per_dim", "ink", "seconds")
_STYLE = """
body { font: 15px/1.4 sans-serif; margin: 2em; color: #222; }
table { border-collapse: collapse; }
th, td { padding: .4em .8em; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; overflow-wrap: anywhere; }
img { border: 1px solid #bbb; margin-right: .4em; vertical-align: top; }
.failed td { background: #fdecea; }
"""


def write(report: Report) -> Path:
    """Write the page for all that a report knows, into its folder; one file, which needs no other.

    Failures come first, then pages by review score, worst first, then those without one by bits per pixel.
    The worst have pictures of the input and of the result, with the tiles framed that are most in doubt.

    Raises:
        OutputError: it cannot be written.
    """
    records = sorted((one for one in report.records.values() if one.status != "bound"), key=_order)
    rows = [_row(record, report, pictured=index < MOST_PICTURES) for index, record in enumerate(records)]
    failed = sum(record.status == "failed" for record in records)
    heads = "".join(f"<th>{head.replace('_', ' ')}</th>" for head in ("page", "pictures", *_COLUMNS))
    path = report.folder / NAME
    with replacing(path) as draft:
        draft.write_text(
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Pages</title>'
            f"<style>{_STYLE}</style></head><body>\n<h1>{len(records):,} pages, {failed:,} failed</h1>\n"
            f"<table><tr>{heads}</tr>\n" + "\n".join(rows) + "\n</table></body></html>\n",
            encoding="utf-8",
        )
    return path


def _order(record: Record) -> tuple[Any, ...]:
    scores = (record.review, record.bits_per_dim)
    worst_first = [(value is None, -(value or 0)) for value in scores]
    return record.status != "failed", *worst_first, record.output, record.page or 0


def _row(record: Record, report: Report, *, pictured: bool) -> str:
    name = _text(record.input) + (f", page {record.page}" if record.page else "")
    if record.status == "failed":
        return (
            f'<tr class="failed"><td>{name}</td><td colspan="{1 + len(_COLUMNS)}">'
            f"{_text(record.error or '')}</td></tr>"
        )
    link = html.escape(urllib.parse.quote(os.fsencode(record.output)))
    cells = [f'<a href="{link}">{name}</a>', _pictures(record, report) if pictured else ""]
    figures = [getattr(record, key) for key in _COLUMNS]
    cells += ["" if figure is None else f"{figure:.4g}" for figure in figures]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _pictures(record: Record, report: Report) -> str:
    page = None if record.page is None else record.page - 1
    output = report.folder / record.output
    inner = page if output.suffix.lower() in BOUND else None
    boxes = [tile.box for tile in record.worst_tiles if tile.score > 0]
    size = record.width, record.height
    sources = [(record.input, page), (str(output), inner)]
    return "".join(_picture(report.storage.fetched(name), number, boxes, size) for name, number in sources)


def _picture(
    fetched: AbstractContextManager[Path],
    page: int | None,
    boxes: list[tuple[int, int, int, int]],
    size: tuple[Any, Any],
) -> str:
    try:
        with fetched as path:
            values = read(path, page=page).pixels
    except ImageError:
        return ""
    if values.dtype == np.uint16:
        values = (values // 257).astype(np.uint8)
    image = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values).convert("RGB")
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    if all(size):
        across, down = image.width / size[0], image.height / size[1]
        draw = ImageDraw.Draw(image)
        for left, top, right, bottom in boxes:
            low = min(image.width, right * across) - 1, min(image.height, bottom * down) - 1
            corner = left * across, top * down
            draw.rectangle((corner, tuple(map(max, corner, low))), outline=(220, 60, 20))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=80)
    encoded = base64.b64encode(data.getvalue()).decode()
    return (
        f'<img alt="" width="{image.width}" height="{image.height}" src="data:image/jpeg;base64,{encoded}">'
    )


def _text(value: str) -> str:
    return html.escape(printable(value))
