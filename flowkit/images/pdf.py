"""Pages of PDF files as pixels, and images as the pages of a PDF."""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from flowkit.errors import FlowkitError, ImageError, OutputError
from flowkit.images.header import Header, Plan

DPI = 300
"""Dpi at which a page is drawn that is not a scan."""

_PROGRAM = Path(__file__).with_name("pdf_process.py")
_UNFINISHED = "cannot be drawn: it takes too much memory or time, or crashes the program that draws it"
_MOST_OPEN = 64  # files at a time


def count(path: Path) -> int:
    """Return the number of pages of a PDF. Raises ImageError if it cannot be read, or has none."""
    with _asked(path) as (said, _):
        return int(said["pages"])


class Drawn(NamedTuple):
    """A page as pixels, (H, W, 3), the dpi it was drawn at, and how many pages its file has."""

    pixels: NDArray[np.uint8]
    dpi: float
    pages: int


def render(path: Path, page: int, *, dpi: float | None, max_pixels: int, plan: Plan | None = None) -> Drawn:
    """Draw one page, counted from 0.

    A page that is mostly one image is drawn at that image's own resolution, others at 300 dpi, unless `dpi`
    is given. `plan` is called before its pixels come to this process, see `flowkit.images.reader.read`.

    Raises:
        ImageError: it cannot be read, takes far more memory or time than its size can explain, or it or an
            image in it has more than `max_pixels` pixels.
    """
    with _asked(path, page, dpi or 0, max_pixels) as (said, stream):
        if page >= said["pages"]:
            raise ImageError(f"{path}: has {said['pages']} pages, page {page + 1} was asked for")
        if "too_large" in said:
            width, height = said["too_large"]
            raise ImageError(
                f"{path}: page {page + 1}: {width} x {height} pixels, more than the limit of "
                f"{max_pixels:,} (raise it with --max-pixels or max_pixels=)"
            )
        width, height = said["width"], said["height"]
        if plan is not None:
            plan(Header(width, height, 3 * width * height, 3 * width * height))
        pixels = np.empty((height, width, 3), np.uint8)
        if stream.readinto(pixels.data.cast("B")) != pixels.nbytes:
            raise ImageError(f"{path}: page {page + 1} {_UNFINISHED}")
        return Drawn(pixels, said["dpi"], said["pages"])


def join(parts: Sequence[bytes], place: Path, name: str) -> None:
    """Write image files as the pages of one PDF, their pixels as they are: bilevel ones in CCITT Group 4.

    `name` is what errors call the file.

    Raises:
        OutputError: an image cannot be the page of a PDF.
    """
    img2pdf = _needed("img2pdf")
    try:
        with place.open("wb") as file:
            # its own writer: the same pixels are the same file, without a date or a random id
            img2pdf.convert(list(parts), outputstream=file, nodate=True, engine=img2pdf.Engine.internal)
    except (ValueError, img2pdf.PdfTooLargeError, img2pdf.ImageOpenError) as error:
        raise OutputError(f"{name}: cannot be written ({error})") from None


def bind(place: Path, parts: Sequence[Path], name: str) -> None:
    """Write the pages of PDF files as one, in their order. `name` is what errors call the file.

    Raises:
        OutputError: a part is damaged.
    """
    pikepdf = _needed("pikepdf")
    if len(parts) > _MOST_OPEN:  # each stays open until all are written
        with tempfile.TemporaryDirectory(prefix=".flowkit-", suffix=".tmp", dir=place.parent) as folder:
            groups = [parts[i : i + _MOST_OPEN] for i in range(0, len(parts), _MOST_OPEN)]
            bound = [Path(folder, f"{index}.pdf") for index in range(len(groups))]
            for path, group in zip(bound, groups, strict=True):
                bind(path, group, name)
            bind(place, bound, name)
        return
    with contextlib.ExitStack() as stack:
        document = stack.enter_context(pikepdf.new())
        try:
            for part in parts:
                document.pages.extend(stack.enter_context(pikepdf.open(part)).pages)
            document.save(place, deterministic_id=True)
        except pikepdf.PdfError as error:
            raise OutputError(f"{name}: cannot be written ({error})") from None


def check() -> None:
    """Raise FlowkitError unless what writes PDF files is installed."""
    _needed("img2pdf")


@contextmanager
def _asked(path: Path, *question: float) -> Iterator[tuple[dict[str, Any], BufferedReader]]:
    """Return the other program's answer about a file, and the stream of the rest."""
    _needed("pypdfium2")
    command = [sys.executable, "-P", str(_PROGRAM), str(path), *map(str, question)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            said = json.loads(line) if line.endswith(b"\n") else {"error": f"a PDF that {_UNFINISHED}"}
            if "error" in said:
                raise ImageError(f"{path}: {said['error']}")
            yield said, cast(BufferedReader, process.stdout)
        finally:
            process.kill()


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise FlowkitError(f"PDF files need {module}: pip install 'flowkit-nf[pdf]'") from None
