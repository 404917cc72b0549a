"""Training pages: found in folders, checked all at once, held in memory as bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from flowkit.errors import DataError

Paths = Iterable[str | os.PathLike[str]]
SUFFIXES = {".png", ".webp", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".jp2"}


@dataclass(frozen=True)
class Page:
    """A page: image (H, W, 3), 8-bit; ink (H, W), boolean, if its truth is known."""

    name: str
    image: np.ndarray
    ink: np.ndarray | None = None


def find_pairs(folders: Paths) -> list[tuple[Path, Path]]:
    """(image, truth) files: every `img` folder at or below the given ones, with the `gt` folder beside it.

    Partners have the same stem and any image suffix.

    Raises:
        DataError: no pairs, or partners missing; all are listed.
    """
    pairs, problems = [], []
    for folder in map(Path, folders):
        image_folders = sorted(p for p in [folder / "img", *folder.glob("**/img")] if p.is_dir())
        if not image_folders:
            problems.append(f"{folder}: expected a folder `img` with a folder `gt` beside it, here or below")
        for images in dict.fromkeys(image_folders):
            truths = _by_stem(images.parent / "gt", problems)
            for stem, image in _by_stem(images, problems).items():
                if stem in truths:
                    pairs.append((image, truths.pop(stem)))
                else:
                    problems.append(f"{image}: no truth of this name in {images.parent / 'gt'}")
            problems.extend(f"{truth}: no image of this name in {images}" for truth in truths.values())
        if not problems and not pairs:
            problems.append(f"{folder}: no images in its `img` folders")
    _report(problems)
    return list(dict.fromkeys(pairs))


def find_images(folders: Paths) -> list[Path]:
    """All images at or below the given folders, but for truths (in folders called `gt`).

    Raises:
        DataError: a folder holds none.
    """
    found, problems = [], []
    for folder in map(Path, folders):
        files = [
            p for p in sorted(folder.glob("**/*")) if p.suffix.lower() in SUFFIXES and p.parent.name != "gt"
        ]
        if not files:
            problems.append(f"{folder}: no images")
        found.extend(files)
    _report(problems)
    return list(dict.fromkeys(found))


def load_pages(files: Sequence[Path | tuple[Path, Path]]) -> list[Page]:
    """Decode images, or (image, truth) pairs.

    Raises:
        DataError: unreadable files, sizes that differ, truths that are not two-valued; all are listed.
    """
    pages, problems = [], []
    for file in files:
        image_file, truth_file = file if isinstance(file, tuple) else (file, None)
        try:
            image = _read(image_file, "RGB")
            ink = None if truth_file is None else _ink(truth_file)
        except DataError as error:
            problems.append(str(error))
            continue
        if ink is not None and ink.shape != image.shape[:2]:
            problems.append(f"{truth_file}: is {_size(ink)}, but {image_file} is {_size(image)}")
            continue
        pages.append(Page(str(image_file), image, ink))
    _report(problems)
    return pages


def _by_stem(folder: Path, problems: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in sorted(folder.glob("*")):
        if file.suffix.lower() not in SUFFIXES:
            continue
        if file.stem in found:
            problems.append(f"{file}: has the same stem as {found[file.stem]}")
        found[file.stem] = file
    return found


def _read(file: Path, mode: str) -> np.ndarray:
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{file}: cannot be read as an image ({error})") from None


def _ink(file: Path) -> np.ndarray:
    grey = _read(file, "L")
    if not np.isin(grey, (0, 255)).all():
        raise DataError(f"{file}: a truth has black (ink) and white pixels only, found grey ones")
    return np.asarray(grey == 0)


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"


def _report(problems: list[str]) -> None:
    if problems:
        raise DataError("\n".join(problems))
