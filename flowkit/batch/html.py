"""`report.html`: the pages of a folder with small pictures, what a person should look at first on top."""

from __future__ import annotations

import base64
import html
import io
import os
import urllib.parse
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from flowkit.batch.report import Report
from flowkit.errors import ImageError
from flowkit.files import replacing
from flowkit.images.reader import read

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


Fetched = Callable[[str], AbstractContextManager[Path]]
"""Gives a file to read. Raises ImageError where it is not there."""


def write(report: Report, *, fetched: Fetched) -> Path:
    """Write the page for all that a report knows, into its folder; one file, which needs no other.

    Failures come first, then pages by review score, worst first, then those without one by bits per pixel.
    The worst have pictures of the input and of the result, with the tiles framed that are most in doubt.

    Args:
        report: what is known.
        fetched: gives the files to read.

    Raises:
        OutputError: it cannot be written.
    """
    records = sorted(report.records.values(), key=_order)
    pictured = [fetched if index < MOST_PICTURES else None for index in range(len(records))]
    rows = [_row(record, report.folder, how) for record, how in zip(records, pictured, strict=True)]
    failed = sum(record.get("status") == "failed" for record in records)
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


def _order(record: Mapping[str, Any]) -> tuple[Any, ...]:
    scores = (record.get("review"), record.get("bits_per_dim"))
    worst_first = [(value is None, -(value or 0)) for value in scores]
    return record.get("status") != "failed", *worst_first, record.get("output"), record.get("page") or 0


def _row(record: Mapping[str, Any], folder: Path, fetched: Fetched | None) -> str:
    page = record.get("page")
    name = _text(record.get("input", "")) + (f", page {page}" if page else "")
    output = record.get("output", "")
    if record.get("status") == "failed":
        return (
            f'<tr class="failed"><td>{name}</td><td colspan="{1 + len(_COLUMNS)}">'
            f"{_text(record.get('error', ''))}</td></tr>"
        )
    link = html.escape(urllib.parse.quote(os.fsencode(output)))
    cells = [f'<a href="{link}">{name}</a>', "" if fetched is None else _pictures(record, folder, fetched)]
    cells += ["" if record.get(key) is None else f"{record[key]:.4g}" for key in _COLUMNS]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _pictures(record: Mapping[str, Any], folder: Path, fetched: Fetched) -> str:
    page = record.get("page")
    output = folder / record.get("output", "")
    inner = None if page is None or output.suffix.lower() not in (".tif", ".tiff", ".pdf") else page - 1
    sources = [(record.get("input", ""), None if page is None else page - 1), (str(output), inner)]
    boxes = [tile["box"] for tile in record.get("worst_tiles", []) if tile["score"] > 0]
    size = record.get("width"), record.get("height")
    return "".join(_picture(fetched(place), number, boxes, size) for place, number in sources)


def _picture(
    fetched: AbstractContextManager[Path], page: int | None, boxes: list[list[int]], size: tuple[Any, Any]
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
    return html.escape(value.encode("utf-8", "backslashreplace").decode())
