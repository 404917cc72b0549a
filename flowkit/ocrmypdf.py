"""A plug-in for OCRmyPDF 17: what OCR and readers see, in black and white or on white paper.

    ocrmypdf --plugin flowkit.ocrmypdf --flowkit both scan.pdf searchable.pdf

OCRmyPDF imports it for its options alone; PyTorch is imported, and the model loaded, with the first page.
"""

from __future__ import annotations

import functools
import logging
import threading
from argparse import ArgumentParser
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ocrmypdf import hookimpl
from ocrmypdf.exceptions import BadArgsError, InputFileError
from PIL import Image
from pydantic import BaseModel

from flowkit.errors import CheckpointError, FlowkitError

if TYPE_CHECKING:
    from flowkit.flow import ConditionalFlow
    from flowkit.pages import CleanedPage, Page

Mode = Literal["ocr", "page", "both", "clean"]
"""Images that are binarized: the one that OCR sees, that of readers, or both; `clean` cleans both."""

_THREADS = "flowkit_threads"  # its place in `OcrOptions.extra_attrs`, which reaches worker processes
_REPLACING = "--force-ocr, --deskew or --clean-final"

_log = logging.getLogger(__name__)
_loading = threading.Lock()


class Options(BaseModel):
    """The plug-in's options: `flowkit_mode` and `flowkit_model` of `ocrmypdf.ocr`."""

    mode: Mode = "ocr"
    model: str = "binarize"


@hookimpl
def add_options(parser: ArgumentParser) -> None:
    """Add `--flowkit` and `--flowkit-model` to OCRmyPDF's command line."""
    group = parser.add_argument_group("flowkit", "Black ink on white paper, by a model of document pages")
    group.add_argument(
        "--flowkit", dest="flowkit_mode", choices=get_args(Mode), default=Options().mode,
        help="binarize what OCR sees (ocr, the default; the PDF looks as before), what readers see (page), "
        "or both; or give both white paper, and ink and pictures in grey or colour (clean). All but ocr "
        f"rasterize pages, as {_REPLACING} do. Pages of 1 bit are left alone",
    )  # fmt: skip
    group.add_argument(
        "--flowkit-model", metavar="M", default=Options().model,
        help="name of a shipped model, or a checkpoint (default: %(default)s)",
    )  # fmt: skip


@hookimpl
def register_options() -> dict[str, type[BaseModel]]:
    """Name the plug-in's options to OCRmyPDF."""
    return {"flowkit": Options}


@hookimpl
def check_options(options: Any) -> None:
    """Refuse options that leave no page image to replace.

    Raises:
        BadArgsError: they do.
    """
    mode = _own(options).mode
    if mode != "ocr" and options.lossless_reconstruction and options.mode != "default":
        raise BadArgsError(
            f"--flowkit {mode} replaces page images, and OCRmyPDF makes none with --mode {options.mode}: "
            f"expected --flowkit ocr, or one of {_REPLACING} that goes with it"
        )


@hookimpl
def validate(pdfinfo: Any, options: Any) -> None:
    """Divide the processor among the pages, and rasterize those that are nothing but scans.

    Raises:
        BadArgsError: a page has more on it, which would become pixels.
    """
    from ocrmypdf.helpers import available_cpu_count

    jobs = options.jobs or available_cpu_count()
    options.extra_attrs[_THREADS] = max(1, jobs // len(pdfinfo))  # as many as OCRmyPDF grants Tesseract
    mode = _own(options).mode
    if mode == "ocr" or not options.lossless_reconstruction:
        return
    pages = [page for page in pdfinfo.pages if page and (not options.pages or page.pageno in options.pages)]
    if any(page.has_text for page in pages):
        return  # OCRmyPDF refuses the file itself, and says how to go on
    drawn = [str(page.pageno + 1) for page in pages if page.has_vector]
    if drawn or pdfinfo.has_acroform:
        found = f"page {', '.join(drawn)}: lines or shapes" if drawn else "a form"
        raise BadArgsError(
            f"--flowkit {mode} would turn more than scans into pixels ({found}): expected --flowkit ocr, or "
            f"{_REPLACING} if that is wanted"
        )
    options.mode = "force"


@hookimpl(wrapper=True)
def filter_ocr_image(
    page: Any, image: Image.Image
) -> Generator[None, Image.Image | None, Image.Image | None]:
    """Binarize or clean what OCR sees, after the other plug-ins' filters; size and dpi stay."""
    filtered = yield
    found = filtered or image
    own = _own(page.options)
    if own.mode == "page" or found.mode == "1":
        return filtered
    made = _made(found, page)
    seen: Image.Image = Image.fromarray(made.image if own.mode == "clean" else ~made.binary)
    seen.info["dpi"] = found.info["dpi"]
    if own.mode != "ocr" and found.size == image.size and _sees_the_page(page.options):
        made.save(_place(page))
    return seen


@hookimpl(wrapper=True)
def filter_page_image(page: Any, image_filename: Path) -> Generator[None, Path | None, Path]:
    """Binarize or clean what readers see, after the other plug-ins' filters."""
    path = (yield) or image_filename
    own = _own(page.options)
    if own.mode == "ocr":
        return path
    with Image.open(path) as image:
        if image.mode == "1":
            return path
        place = _place(page)
        if not place.exists():  # OCR saw another image, or none
            _made(image, page).save(place)
    return place


def _own(options: Any) -> Options:
    """Return the plug-in's options, of which OCRmyPDF keeps the values under `extra_attrs`."""
    given = {name: options.extra_attrs.get(f"flowkit_{name}") for name in Options.model_fields}
    return Options(**{name: value for name, value in given.items() if value is not None})


def _sees_the_page(options: Any) -> bool:
    """Return true if OCR is given the image that readers see."""
    return bool(options.force_ocr and options.clean == options.clean_final and not options.remove_vectors)


def _place(page: Any) -> Path:
    """Return the file of the result, TIFF in Group 4 or JPEG, either of which goes into the PDF as it is."""
    place: Path = page.get_path(f"flowkit.{'jpg' if _own(page.options).mode == 'clean' else 'tif'}")
    return place


def _made(image: Image.Image, page: Any) -> Any:
    """Return an image of a page, binarized (`Page`) or cleaned (`CleanedPage`), and log notes.

    Raises:
        BadArgsError: the model cannot be loaded.
        InputFileError: the page cannot be binarized.
    """
    from flowkit.pages import binarize, clean  # imports torch

    own = _own(page.options)
    try:
        model = _model(own.model, page.options.extra_attrs.get(_THREADS, 1))
        make: Callable[..., Page | CleanedPage] = clean if own.mode == "clean" else binarize
        # OCRmyPDF has a limit of its own for pixels
        found = make(image, model=model, max_pixels=image.width * image.height)
    except CheckpointError as error:
        raise BadArgsError(f"--flowkit-model: {error}") from None
    except FlowkitError as error:
        raise InputFileError(f"page {page.pageno + 1}: {error}") from None
    for note in found.notes:
        _log.warning("%s", note)
    return found


def _model(name: str, threads: int) -> ConditionalFlow:
    with _loading:  # pages come in threads
        return _loaded(name, threads)


@functools.lru_cache(maxsize=1)
def _loaded(name: str, threads: int) -> ConditionalFlow:
    import torch

    from flowkit.pages.ink import load_binary

    torch.set_num_threads(threads)  # of this process; every page is a thread, or a process, of OCRmyPDF's
    return load_binary(name)
