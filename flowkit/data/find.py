"""Training pages in folders: images matched with truths, without decoding."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from flowkit.errors import DataError
from flowkit.images.reader import RASTER_SUFFIXES

Paths = Iterable[str | os.PathLike[str]]

# H01_GT, H01_estGT, 1_gt, HW1-gt
_TRUTH_STEM = re.compile(r"[-_ .](est)?gt$", re.IGNORECASE)
# gt, GT_images, GTimages, dibco2018-GT, DIBCO2009-GT-Test-images_printed, Ground Truth
_TRUTH_FOLDER = re.compile(r"(^|[^a-z])(gt(img|image)?s?|ground[-_ ]?truths?)([^a-z]|$)", re.IGNORECASE)


def find_pairs(folders: Paths) -> list[tuple[Path, Path]]:
    """Find (image, truth) files at or below the given folders, of any image suffix.

    If there are folders `img` with a folder `gt` beside them, those are meant, and partners have the same
    stem. Otherwise, as the DIBCO years are downloaded: a truth is a file whose stem ends in `_gt`, `_GT`
    or `_estGT`, or one in a folder with GT in its name; an image and its truth have the same stem but for
    that ending; of several, the nearest in the tree is meant.

    Raises:
        DataError: no pairs, or partners missing; all are listed.
    """
    pairs: list[tuple[Path, Path]] = []
    problems: list[str] = []
    for folder in map(Path, folders):
        image_folders = sorted(
            p for p in [folder / "img", *folder.glob("**/img")] if p.is_dir() and (p.parent / "gt").is_dir()
        )
        before = len(pairs), len(problems)
        if image_folders:
            for images in dict.fromkeys(image_folders):
                pairs.extend(_match(images, images.parent / "gt", problems))
        else:
            pairs.extend(_as_downloaded(folder, problems))
        if before == (len(pairs), len(problems)):
            problems.append(f"{folder}: no images in its `img` folders")
    report(problems)
    return list(dict.fromkeys(pairs))


def find_images(folders: Paths) -> list[Path]:
    """Find all images at or below the given folders, but for truths (in folders called `gt`).

    Raises:
        DataError: a folder holds none.
    """
    found, problems = [], []
    for folder in map(Path, folders):
        files = [p for p in image_files(folder) if p.parent.name != "gt"]
        if not files:
            problems.append(f"{folder}: no images")
        found.extend(files)
    report(problems)
    return list(dict.fromkeys(found))


def match(images: Path, truths: Path) -> list[tuple[Path, Path]]:
    """Match the (image, truth) files of two folders, by their paths in them without suffix and `_gt`.

    Raises:
        DataError: partners missing, two files of one name, or no pairs; all are listed.
    """
    problems: list[str] = []
    pairs = _match(images, truths, problems)
    if not pairs and not problems:
        problems.append(f"{images}: no images")
    report(problems)
    return pairs


def image_files(folder: Path) -> list[Path]:
    """List the files at or below a folder that are named like images, sorted, without hidden ones."""
    files = (p for p in sorted(folder.glob("**/*")) if not p.name.startswith("."))
    return [p for p in files if p.suffix.lower() in RASTER_SUFFIXES]


def report(problems: list[str]) -> None:
    """Raise all collected problems as one DataError, if there are any."""
    if problems:
        raise DataError("\n".join(problems))


def _match(images: Path, truths: Path, problems: list[str]) -> list[tuple[Path, Path]]:
    pairs = []
    partners = _by_stem(truths, problems)
    for stem, image in _by_stem(images, problems).items():
        if stem in partners:
            pairs.append((image, partners.pop(stem)))
        else:
            problems.append(f"{image}: no truth of this name in {truths}")
    problems.extend(f"{truth}: no image of this name in {images}" for truth in partners.values())
    return pairs


def _by_stem(folder: Path, problems: list[str]) -> dict[str, Path]:
    if not folder.is_dir():
        problems.append(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for file in image_files(folder):
        stem = str(file.relative_to(folder).with_name(_TRUTH_STEM.sub("", file.stem)))
        if stem in found:
            problems.append(f"{file}: has the same stem as {found[stem]}")
        found[stem] = file
    return found


def _as_downloaded(folder: Path, problems: list[str]) -> list[tuple[Path, Path]]:
    images: dict[Path, str] = {}
    truths: dict[str, list[Path]] = {}
    for file in image_files(folder):
        stem = _TRUTH_STEM.sub("", file.stem)
        above = file.relative_to(folder).parent.parts
        if stem != file.stem or any(map(_TRUTH_FOLDER.search, above)):
            truths.setdefault(stem.lower(), []).append(file)
        else:
            images[file] = stem.lower()
    if not images or not truths:
        problems.append(
            f"{folder}: expected a folder `img` with a folder `gt` beside it, here or below, "
            "or truths called *_gt or in a folder called GT"
        )
        return []
    pairs = []
    claimed: dict[Path, Path] = {}
    for image, stem in images.items():
        nearest = _nearest(image, truths.get(stem, []))
        if not nearest:
            problems.append(f"{image}: no truth of this name in {folder}")
        elif len(nearest) > 1:
            problems.append(f"{image}: {nearest[0]} and {nearest[1]} could both be its truth")
        elif nearest[0] in claimed:
            problems.append(f"{nearest[0]}: could be the truth of {claimed[nearest[0]]} and of {image}")
        else:
            pairs.append((image, nearest[0]))
        claimed.update(dict.fromkeys(nearest, image))
    left = [truth for found in truths.values() for truth in found if truth not in claimed]
    problems.extend(f"{truth}: no image of this name in {folder}" for truth in left)
    return pairs


def _nearest(image: Path, truths: list[Path]) -> list[Path]:
    """Return the truths that share most folders with the image."""
    shared = [len(Path(os.path.commonpath([image, truth])).parts) for truth in truths]
    return [truth for truth, n in zip(truths, shared, strict=True) if n == max(shared)]
