"""Character error rates of Tesseract on pages, as scanned and as binarized."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowkit.data import load_pages
from flowkit.data.find import Paths, find_images, report
from flowkit.data.fingerprint import fingerprint
from flowkit.data.page_files import grey_of
from flowkit.errors import DataError, FlowkitError
from flowkit.evaluation.ink import refusals
from flowkit.evaluation.plan import Round, Wanted, rounds
from flowkit.evaluation.report import Findings, Part
from flowkit.evaluation.results import Entry, Row
from flowkit.evaluation.task import Job, page_names
from flowkit.metrics.ocr import Tesseract, character_error_rate
from flowkit.tables import Cell

GREY = Entry("grey")


class Reader:
    """Tesseract, with a record of what it read.

    Args:
        language: as Tesseract names it.
        mode: its page segmentation mode.

    Raises:
        FlowkitError: see `Tesseract`.
    """

    def __init__(self, language: str, mode: int) -> None:
        self.tesseract = Tesseract(language, mode)
        self.texts: dict[tuple[str, Entry], list[tuple[str, str]]] = {}

    def score(
        self, set_name: str, entry: Entry, images: NDArray[np.uint8] | NDArray[np.bool_], truth: str
    ) -> float:
        """Return the character error rate of (N, H, W, ...) images of one page, all together, in percent."""
        pairs = [(self.tesseract.read(image), truth) for image in images]
        self.texts.setdefault((set_name, entry), []).extend(pairs)
        return character_error_rate(pairs)

    def part(self) -> Part:
        """Return the table of the sets, each set counted as one text."""
        rows: list[dict[str, Cell]] = [
            {"set": name, "by": str(entry), "texts": len(pairs), "CER %": character_error_rate(pairs)}
            for (name, entry), pairs in self.texts.items()
        ]
        about = (
            f"Read by {self.tesseract.version}, language {self.tesseract.language}, page segmentation mode "
            f"{self.tesseract.mode}.",
            "All errors of a set by all its characters; the tables above have the mean over pages.",
        )
        return Part("Character error rate", rows, about)


class Reading:
    """Character error rates of binarizations, and of the grey page.

    Args:
        wanted: the options; its data are folders with a text beside each image.
        reader: reads the images.
        allow_train: whether models may be scored on pages that they were trained on.

    Raises:
        FlowkitError: something that was named cannot be found or used; for pages, all problems are listed.
    """

    scores = ("cer",)

    def __init__(self, wanted: Wanted, reader: Reader, allow_train: bool = False) -> None:
        if tuple(wanted.scales) != (1.0,):
            raise FlowkitError("--scales is for scores against a truth of ink, and --ocr has none")
        self.wanted = wanted
        self.reader = reader
        self.rounds = rounds(wanted, find_texts)
        problems = []
        for one in self.rounds:
            for image in (image for pairs in one.sets.values() for image, _ in pairs):
                try:
                    text_of(image)
                    [page] = load_pages([image])
                except DataError as error:
                    problems.append(str(error))
                else:
                    seen = {} if allow_train else one.trained_on
                    problems += refusals(page.name, fingerprint(page.image), seen)
        report(problems)
        own = (entry for one in self.rounds for c in one.contestants for entry in c.entries)
        self.entries = (GREY, *dict.fromkeys(own))
        self.rows: list[Row] = []
        self.read: list[str] = []

    def jobs(self) -> list[Job]:
        """See `Evaluation`."""
        return [
            Job(set_name, name, partial(self._score, one, set_name, name, image))
            for one in self.rounds
            for set_name, pairs in one.sets.items()
            for image, name in page_names(image for image, _ in pairs).items()
        ]

    def findings(self) -> Findings:
        """See `Evaluation`."""
        notes = [note for one in self.rounds for note in one.notes]
        notes += [note for one in self.rounds for contestant in one.contestants for note in contestant.notes]
        notes += self.read
        title = f"Reading after {self.wanted.model}"
        return Findings(title, self.rows, self.entries[1], [self.reader.part()], list(dict.fromkeys(notes)))

    def _score(self, one: Round, set_name: str, name: str, file: Path) -> list[Row]:
        [page] = load_pages([file])
        self.read += [f"{set_name}/{name}: {note}." for note in page.picture.notes]
        truth = text_of(file)
        made: dict[Entry, NDArray[Any]] = {GREY: grey_of(page.picture)}
        made |= {outcome.entry: outcome.ink for c in one.contestants for outcome in c.run(page)}
        rows = [
            Row(set_name, name, entry, {"cer": self.reader.score(set_name, entry, image[None], truth)})
            for entry, image in made.items()
        ]
        self.rows += rows
        return rows


def find_texts(folders: Paths) -> list[tuple[Path, Path]]:
    """Find (image, text) files: every image at or below the folders, and the .txt beside it."""
    return [(image, image.with_suffix(".txt")) for image in find_images(folders)]


def text_of(image: Path) -> str:
    """Read the text of an image from the .txt beside it, in UTF-8.

    Raises:
        DataError: it is missing, empty, or not in UTF-8.
    """
    file = image.with_suffix(".txt")
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{image}: no text beside it ({file.name}); --ocr compares with it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as UTF-8 ({error})") from None
    if not text.strip():
        raise DataError(f"{file}: is empty, expected the text of {image.name}")
    return text
