"""The character error rate of Tesseract."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import unicodedata
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit.errors import FlowkitError

COMMAND = "tesseract"
_WORD = "5"  # the level of its TSV that has text
LINE = 7
"""Tesseract's page segmentation mode for an image that is a single line."""
PAGE = 3
"""Its mode for a whole page, which it divides into columns and lines by itself."""


class Word(NamedTuple):
    """A word that was read."""

    text: str
    """As `normalised` returns it."""
    box: tuple[int, int, int, int]
    """Left, top, right and bottom, in pixels of the image."""
    line: int
    """The number of its line on the page, from 0."""


def normalised(text: str) -> str:
    """Return Unicode's composed form (NFC), every run of white space a single space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def distance(read: str, truth: str) -> int:
    """Count the insertions, deletions and replacements that turn one normalised text into the other.

    Raises:
        FlowkitError: rapidfuzz is not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError:
        raise FlowkitError("character error rates need rapidfuzz: pip install 'flowkit-nf[ocr]'") from None
    return int(Levenshtein.distance(normalised(read), normalised(truth)))


def character_error_rate(pairs: list[tuple[str, str]]) -> float:
    """Return CER = 100 x sum of distances / sum of the truths' lengths, in percent, over (read, truth) texts.

    It can be more than 100. Over many lines it is that of all of them joined, not the mean over lines.

    Raises:
        FlowkitError: all truths are empty, or rapidfuzz is not installed.

    >>> character_error_rate([("a cut", "a cat"), ("dog", "dogs")]).__round__(2)
    22.22
    """
    length = sum(len(normalised(truth)) for _, truth in pairs)
    if not length:
        raise FlowkitError("a character error rate needs a text, and all of them are empty")
    return 100 * sum(distance(read, truth) for read, truth in pairs) / length


class Tesseract:
    """The `tesseract` command, for one language.

    Args:
        language: as Tesseract names it: `eng`, `deu`, `frk`, `Fraktur`, `eng+deu`, ...
        mode: page segmentation mode.

    Raises:
        FlowkitError: the command is not there, or does not know the language.
    """

    def __init__(self, language: str, mode: int = LINE) -> None:
        self.language = language
        self.mode = mode
        known = self._run("--list-langs").decode(errors="replace").splitlines()[1:]
        for one in language.split("+"):
            if one not in known:
                raise FlowkitError(f'tesseract has no language "{one}"; installed: {", ".join(known)}')

    @property
    def version(self) -> str:
        """Return the version that the command prints."""
        return self._run("--version").decode(errors="replace").partition("\n")[0].strip()

    def read(self, image: NDArray[np.uint8] | NDArray[np.bool_]) -> str:
        """Read the text of an image: 8-bit grey or colour, or ink (boolean, black is True).

        Raises:
            FlowkitError: Tesseract failed.
        """
        return self._recognise(image).decode(errors="replace")

    def words(self, image: NDArray[np.uint8] | NDArray[np.bool_]) -> list[Word]:
        """Read the words of an image, as `read`, in the order in which Tesseract reads them.

        Raises:
            FlowkitError: Tesseract failed.
        """
        found: list[Word] = []
        lines: dict[tuple[str, ...], int] = {}
        for row in self._recognise(image, "tsv").decode(errors="replace").splitlines()[1:]:
            level, *line, _, left, top, width, height, _, text = row.split("\t")
            if level == _WORD and (said := normalised(text)):
                x, y = int(left), int(top)
                number = lines.setdefault(tuple(line), len(lines))
                found.append(Word(said, (x, y, x + int(width), y + int(height)), number))
        return found

    def _recognise(self, image: NDArray[np.uint8] | NDArray[np.bool_], *config: str) -> bytes:
        picture = Image.fromarray(np.where(image, 0, 255).astype(np.uint8) if image.dtype == bool else image)
        data = io.BytesIO()
        # what Tesseract assumes where an image does not say; said, so that it does not warn
        picture.save(data, "PNG", dpi=(300, 300))
        options = ["-l", self.language, "--psm", str(self.mode)]
        return self._run("stdin", "stdout", *options, *config, data=data.getvalue())

    def _run(self, *arguments: str, data: bytes = b"") -> bytes:
        if shutil.which(COMMAND) is None:
            raise FlowkitError(
                f"OCR needs the command {COMMAND}, which is not there (Debian: apt install tesseract-ocr)"
            )
        # One line is too little work for several threads: they would only wait for one another.
        environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        done = subprocess.run([COMMAND, *arguments], input=data, capture_output=True, env=environment)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise FlowkitError(
                f"{COMMAND} {' '.join(arguments)} failed: {said[-1] if said else done.returncode}"
            )
        return done.stdout
