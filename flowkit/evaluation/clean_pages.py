"""Clean pages against grey truths or as Tesseract reads them, beside the page and simpler results."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from flowkit.checkpoint import trained_on
from flowkit.data import find_pairs
from flowkit.data.find import report
from flowkit.data.fingerprint import fingerprint
from flowkit.data.page_files import grey_of, read_page, size_of
from flowkit.degradations.scan import degrade
from flowkit.errors import DataError, FlowkitError
from flowkit.evaluation.ink import refusals
from flowkit.evaluation.plan import Wanted
from flowkit.evaluation.reading import Reader, find_texts, text_of
from flowkit.evaluation.report import Findings
from flowkit.evaluation.results import Entry, Row
from flowkit.evaluation.task import Job, page_names
from flowkit.images.picture import Picture
from flowkit.metrics.super_resolution import luma
from flowkit.pages.cleaning import clean, load_cleaning
from flowkit.pages.strokes import closing
from flowkit.synthetic.page import draw_print

PAGE, INK, DIVIDED, CLEAN = (Entry(name) for name in ("page", "1 bit", "page / paper", "clean"))

DRAWN = 1240, 1754
"""Width and height of a drawn page: A4 at 150 dpi."""

_WINDOW = 33  # pixels, of the closing that finds the paper without a model


def divided(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Divide a page (H, W) by its paper: a closing with 33 x 33 pixels, blurred as far."""
    paper = ndimage.gaussian_filter(closing(grey, _WINDOW).astype(np.float32), _WINDOW / 4)
    flat = np.rint(255 * np.minimum(grey / np.maximum(paper, 1), 1))
    return np.asarray(flat, np.uint8)


def rmse(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the root of the mean squared difference of luma, white being 1.

    >>> round(rmse(np.full((2, 3), 51, np.uint8), np.zeros((2, 3), np.uint8)), 6)
    0.2
    """
    return float(np.sqrt(np.mean((luma(image) - luma(truth)) ** 2)) / 255)


class CleanPages:
    """Scores of clean pages, `rmse` against grey truth or, with a reader, `cer`.

    Args:
        wanted: the options; its data are folders with grey truths or, with a reader, texts.
        reader: reads the pages, if given.
        drawn: number of drawn pages with known text to read, too.
        allow_train: whether the model may be scored on pages that it was trained on.

    Raises:
        FlowkitError: something that was named cannot be found or used; for pages, all problems are listed.
    """

    entries = (PAGE, INK, DIVIDED, CLEAN)

    def __init__(
        self, wanted: Wanted, reader: Reader | None = None, *, drawn: int = 0, allow_train: bool = False
    ) -> None:
        self.wanted, self.reader, self.drawn = wanted, reader, drawn
        if drawn and reader is None:
            raise FlowkitError("the truth of --drawn pages is a text: expected --ocr LANG, too")
        if not wanted.data and not drawn:
            raise FlowkitError("--data is missing; --clean needs folders with pages, or --ocr and --drawn")
        self.scores = ("rmse",) if reader is None else ("cer",)
        self.flow = load_cleaning(wanted.model)
        find = find_pairs if reader is None else find_texts
        self.sets = {str(Path(folder)): find([folder]) for folder in wanted.data or ()}
        self._check({} if allow_train else {wanted.model: trained_on(wanted.model)})
        self.rows: list[Row] = []
        self.read: list[str] = []

    def jobs(self) -> list[Job]:
        """See `Evaluation`."""
        jobs = []
        for set_name, pairs in self.sets.items():
            names = page_names(image for image, _ in pairs)
            jobs += [Job(set_name, names[pair[0]], partial(self._of_file, set_name, *pair)) for pair in pairs]
        numbers = range(self.wanted.seed, self.wanted.seed + self.drawn)
        return jobs + [Job("drawn", str(number), partial(self._of_drawn, number)) for number in numbers]

    def findings(self) -> Findings:
        """See `Evaluation`."""
        parts = [self.reader.part()] if self.reader else []
        return Findings(f"Clean pages by {self.wanted.model}", self.rows, CLEAN, parts, self.read)

    def _of_file(self, set_name: str, file: Path, truth: Path) -> list[Row]:
        picture = read_page(file)
        self.read += [f"{file}: {note}." for note in picture.notes]
        name = page_names(image for image, _ in self.sets[set_name])[file]
        if self.reader is not None:
            return self._score(set_name, name, picture, text_of(file))
        return self._score(set_name, name, picture, grey_of(read_page(truth)))

    def _of_drawn(self, number: int) -> list[Row]:
        rng = np.random.default_rng(number)
        ink, text = draw_print(*DRAWN, rng)
        return self._score("drawn", str(number), Picture(degrade(ink, rng, rng.uniform(0.5, 2))), text)

    def _score(self, set_name: str, name: str, picture: Picture, truth: str | NDArray[np.uint8]) -> list[Row]:
        grey = grey_of(picture)
        made = clean(picture, model=self.flow)
        images: dict[Entry, NDArray[Any]] = {
            PAGE: grey,
            INK: made.page.binary,
            DIVIDED: divided(grey),
            CLEAN: np.asarray(Image.fromarray(made.image).convert("L")),
        }
        rows = []
        for entry, image in images.items():
            if isinstance(truth, str):
                assert self.reader is not None
                scores = {"cer": self.reader.score(set_name, entry, image[None], truth)}
            else:
                levels = np.where(image, 0, 255).astype(np.uint8) if image.dtype == bool else image
                scores = {"rmse": rmse(levels, truth)}
            rows.append(Row(set_name, name, entry, scores))
        self.rows += rows
        return rows

    def _check(self, seen: dict[str, frozenset[str]]) -> None:
        problems = []
        for image, truth in (pair for pairs in self.sets.values() for pair in pairs):
            try:
                page = read_page(image)
                if self.reader is not None:
                    text_of(image)
                elif (grey := read_page(truth)).size != page.size:
                    sizes = size_of(grey.pixels), size_of(page.pixels)
                    raise DataError(f"{truth}: is {sizes[0]}, but {image} is {sizes[1]}")
            except DataError as error:
                problems.append(str(error))
            else:
                problems += refusals(str(image), fingerprint(page.rgb8()), seen)
        report(problems)
