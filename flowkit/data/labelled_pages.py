"""Pages with their truths, decoded all at once: for a test set, which is small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowkit.data.find import report
from flowkit.errors import DataError
from flowkit.images.decode import read_ink, read_rgb, size_of


@dataclass(frozen=True)
class Page:
    """A page: image (H, W, 3), 8-bit; ink (H, W), boolean, if its truth is known."""

    name: str
    image: np.ndarray
    ink: np.ndarray | None = None


def load_pages(files: Sequence[Path | tuple[Path, Path]]) -> list[Page]:
    """Decode images, or (image, truth) pairs.

    Raises:
        DataError: unreadable files, sizes that differ, truths that are not two-valued; all are listed.
    """
    pages, problems = [], []
    for file in files:
        image_file, truth_file = file if isinstance(file, tuple) else (file, None)
        try:
            image = read_rgb(image_file)
            ink = None if truth_file is None else read_ink(truth_file)
        except DataError as error:
            problems.append(str(error))
            continue
        if ink is not None and ink.shape != image.shape[:2]:
            problems.append(f"{truth_file}: is {size_of(ink)}, but {image_file} is {size_of(image)}")
            continue
        pages.append(Page(str(image_file), image, ink))
    report(problems)
    return pages
