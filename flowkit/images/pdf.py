"""Pages of PDF files as pixels, and images as the pages of a PDF."""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from flowkit.errors import FlowkitError, ImageError, OutputError
from flowkit.images.header import Header, Plan
from flowkit.images.pdf_frame import put_frame

DPI = 300
"""Dots per inch of a page whose image does not say."""

POINTS = 72
"""Points per inch."""

# -P: a module of the working folder shall not take the place of one of these; the last is this package
_PROGRAM = (
    f"import sys; sys.path.append({str(Path(__file__).parents[2])!r}); "
    "from flowkit.images.pdf_process import main; main()"
)
_UNFINISHED = "cannot be drawn: it takes too much memory or time, or crashes the program that draws it"
_MOST_OPEN = 64  # files at a time


def count(path: Path, password: str | None = None) -> int:
    """Return the number of pages of a PDF. Raises ImageError if it cannot be read, or has none."""
    with _asked(path, password) as (said, _):
        return int(said["pages"])


def frame(path: Path, password: str | None = None) -> dict[str, Any]:
    """Return the title, author, outline and page labels of a PDF, see `flowkit.images.pdf_document.frame_of`.

    It is empty where only pdfium can read the file. Raises ImageError where the file cannot be read at all.
    """
    with _asked(path, password, frame=True) as (said, _):
        return dict(said["frame"])


class Drawn(NamedTuple):
    """A page that was drawn.

    Attributes:
        pixels: (H, W, 3).
        dpi: dots per inch across and down.
        pages: of its file.
        text: whether there is text on it, which the pixels do not keep.
    """

    pixels: NDArray[np.uint8]
    dpi: tuple[float, float]
    pages: int
    text: bool


def render(
    path: Path,
    page: int,
    *,
    dpi: float | None,
    max_pixels: int,
    password: str | None = None,
    plan: Plan | None = None,
) -> Drawn:
    """Draw one page, counted from 0.

    By default it is drawn at the resolution that `flowkit.images.pdf_resolution.resolution` chooses. `plan`
    is called before its pixels come to this process, see `flowkit.images.reader.read`.

    Raises:
        ImageError: it cannot be read, takes far more memory or time than its size can explain, or it or an
            image in it has more than `max_pixels` pixels.
    """
    with _asked(path, password, page=page, dpi=dpi, max_pixels=max_pixels) as (said, stream):
        _check_page(path, said["pages"], page)
        if "too_large" in said:
            width, height = said["too_large"]
            raise ImageError(
                f"{path}: page {page + 1}: {width} x {height} pixels, more than the limit of "
                f"{max_pixels:,} (raise it with --max-pixels or max_pixels=, or draw it at fewer dots with "
                "--pdf-dpi or pdf_dpi=)"
            )
        width, height = said["width"], said["height"]
        if plan is not None:
            plan(Header(width, height, 3 * width * height, 3 * width * height))
        pixels = np.empty((height, width, 3), np.uint8)
        if stream.readinto(pixels.data.cast("B")) != pixels.nbytes:
            raise ImageError(f"{path}: page {page + 1} {_UNFINISHED}")
        across, down = said["dpi"]
        return Drawn(pixels, (across, down), said["pages"], said["text"])


def write_page(place: Path, image: bytes, dpi: tuple[float, float], name: str) -> None:
    """Write an image file as a PDF of one page, its pixels as they are: bilevel ones in CCITT Group 4.

    A page of more than 200 inches a side gets a UserUnit. `name` is what errors call the file.

    Raises:
        OutputError: the image cannot be the page of a PDF.
    """
    img2pdf = _needed("img2pdf")
    try:
        with place.open("wb") as file:
            img2pdf.convert(
                [image],
                outputstream=file,
                layout_fun=img2pdf.get_fixed_dpi_layout_fun(dpi),  # by itself it rounds dpi
                # its own writer: the same pixels are the same file, without a date or a random id
                nodate=True,
                engine=img2pdf.Engine.internal,
            )
    except (ValueError, img2pdf.PdfTooLargeError, img2pdf.ImageOpenError) as error:
        raise OutputError(f"{name}: cannot be written ({error})") from None


def bind(place: Path, parts: Sequence[Path], name: str, frame: Mapping[str, Any] | None = None) -> None:
    """Write the pages of PDF files as one, in their order.

    Args:
        place: the file to write.
        parts: the files.
        name: what errors call the file.
        frame: what is put around the pages, see `frame`.

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
            bind(place, bound, name, frame)
        return
    with contextlib.ExitStack() as stack:
        document = stack.enter_context(pikepdf.new())
        try:
            for part in parts:
                document.pages.extend(stack.enter_context(pikepdf.open(part)).pages)
            if frame:
                put_frame(document, frame)
            document.save(place, deterministic_id=True)
        except pikepdf.PdfError as error:
            raise OutputError(f"{name}: cannot be written ({error})") from None


def replace_page(place: Path, document: Path, page: int, part: Path) -> None:
    """Write a PDF with the page of another in the place of one, and what leads to it, such as an outline.

    Args:
        place: the file to write.
        document: the PDF, as it is.
        page: which of its pages, counted from 0.
        part: a PDF of one page.

    Raises:
        ImageError: there is no such page, or one of the two is damaged.
    """
    pikepdf = _needed("pikepdf")
    try:
        with pikepdf.open(document) as old, pikepdf.open(part) as new:
            _check_page(document, len(old.pages), page)
            old.pages.extend(new.pages)
            old.pages[page].emplace(old.pages[-1])
            del old.pages[-1]
            old.save(place, deterministic_id=True)
    except pikepdf.PdfError as error:
        raise ImageError(f"{document}: is damaged, and its page cannot be replaced ({error})") from None


def take_out(place: Path, document: Path, page: int) -> None:
    """Write a page of a PDF, counted from 0, as one of its own. Raises ImageError as `replace_page`."""
    pikepdf = _needed("pikepdf")
    try:
        with pikepdf.open(document) as old, pikepdf.new() as new:
            _check_page(document, len(old.pages), page)
            new.pages.append(old.pages[page])
            new.save(place, deterministic_id=True)
    except pikepdf.PdfError as error:
        raise ImageError(f"{document}: is damaged, and its page cannot be taken out ({error})") from None


def check() -> None:
    """Raise FlowkitError unless what writes PDF files is installed."""
    _needed("img2pdf")


@contextmanager
def _asked(
    path: Path, password: str | None, **question: Any
) -> Iterator[tuple[dict[str, Any], BufferedReader]]:
    """Return the other program's answer about a file, and the stream of the rest."""
    _needed("pypdfium2")
    _needed("pikepdf")
    command = [sys.executable, "-P", "-c", _PROGRAM]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # a command line can be seen by other users, and would show them the password
            line = json.dumps({"path": str(path), "password": password, **question})
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(line.encode() + b"\n")
            answer = process.stdout.readline()
            said = json.loads(answer) if answer.endswith(b"\n") else {"error": f"a PDF that {_UNFINISHED}"}
            if "error" in said:
                raise ImageError(f"{path}: {said['error']}")
            yield said, cast(BufferedReader, process.stdout)
        finally:
            process.kill()


def _check_page(path: Path, pages: int, page: int) -> None:
    if page >= pages:
        raise ImageError(f"{path}: has {pages} pages, page {page + 1} was asked for")


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise FlowkitError(f"PDF files need {module}: pip install 'flowkit-nf[pdf]'") from None
