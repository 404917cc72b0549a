"""Pages with their truths, decoded all at once, for test sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit.data.find import report
from flowkit.data.page_files import read_ink, read_page, size_of
from flowkit.errors import DataError
from flowkit.images.picture import Picture


@dataclass(frozen=True)
class Page:
    """A page with its truth, decoded once.

    Attributes:
        name: of its file.
        picture: what `flowkit.pages.binarize` reads from the file.
        ink: (H, W), boolean, if its truth is known.
    """

    name: str
    picture: Picture
    ink: NDArray[np.bool_] | None = None

    def at(self, scale: float) -> Page:
        """Return the page as a scan of `scale` times the resolution, by bicubic interpolation.

        A pixel that ink covers by half is ink.
        """
        if scale == 1:
            return self
        size = [max(1, round(n * scale)) for n in reversed(self.picture.size)]
        pixels = np.asarray(Image.fromarray(self.image).resize(size, Image.Resampling.BICUBIC))
        ink = None
        if self.ink is not None:
            cover = Image.fromarray(self.ink.astype(np.uint8) * np.uint8(255))
            ink = np.asarray(cover.resize(size, Image.Resampling.BICUBIC)) >= 128
        return Page(self.name, Picture(pixels, notes=self.picture.notes), ink)

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """Return the pixels as 8-bit RGB, (H, W, 3)."""
        return self.picture.rgb8()


def load_pages(files: Sequence[Path | tuple[Path, Path]]) -> list[Page]:
    """Decode images, or (image, truth) pairs.

    Raises:
        DataError: unreadable files, sizes that differ, truths that are not two-valued; all are listed.
    """
    pages, problems = [], []
    for file in files:
        image_file, truth_file = file if isinstance(file, tuple) else (file, None)
        try:
            picture = read_page(image_file)
            ink = None if truth_file is None else read_ink(truth_file)
        except DataError as error:
            problems.append(str(error))
            continue
        if ink is not None and ink.shape != picture.size:
            problems.append(f"{truth_file}: is {size_of(ink)}, but {image_file} is {size_of(picture.pixels)}")
            continue
        pages.append(Page(str(image_file), picture, ink))
    report(problems)
    return pages
