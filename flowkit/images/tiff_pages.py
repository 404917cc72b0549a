"""Directories of TIFF files: which of their images are pages, and what samples they hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

SUBFILE, PREVIEW = 254, 1
"""TIFF's NewSubfileType, and its bit for a reduced copy of another image."""

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _FORMAT = 256, 257, 258, 259, 262, 277, 339
_TAGS = (SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _FORMAT)
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_MOST = 10_000  # directories, and entries of one; no honest file has more
_LEVELS = 3  # images that make a pyramid: two, one twice as large as the other, may be two pages

_DAMAGED = (struct.error, OverflowError, KeyError, ValueError)  # such as a type or an offset of its own

_FORMATS = {1: "unsigned integers", 2: "signed integers", 3: "floating point numbers", 6: "complex numbers"}
_PHOTOMETRICS = {0: "white is 0", 1: "black is 0", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}


class Frame(NamedTuple):
    """An image of a TIFF: its size, and whether it says that it is a reduced copy."""

    width: int
    height: int
    reduced: bool = False


class Page(NamedTuple):
    """A frame that is a page, and how many smaller copies of it follow without saying so."""

    frame: int
    copies: int = 0


def pages_of(frames: Sequence[Frame]) -> list[Page]:
    """Tell pages from their reduced copies.

    The first image is a page whatever it says; others are, unless they say that they are reduced copies, or
    belong to a pyramid: an image, one of half its sides, one of a quarter, and so on.
    """
    left = [n for n, frame in enumerate(frames) if n == 0 or not frame.reduced]
    pages: list[Page] = []
    start = 0
    while start < len(left):
        stop = start + 1
        while stop < len(left) and _is_half(frames[left[stop - 1]], frames[left[stop]]):
            stop += 1
        if stop - start >= _LEVELS:
            pages.append(Page(left[start], stop - start - 1))
        else:
            pages += [Page(frame) for frame in left[start:stop]]
        start = stop
    return pages


def count_tiff(file: BinaryIO) -> int | None:
    """Count the images of a TIFF or BigTIFF that are pages, by its directories alone; None: it is damaged."""
    try:
        return len(pages_of([_frame(tags) for tags in _directories(file)])) or None
    except _DAMAGED:
        return None


def samples_of_tiff(file: BinaryIO) -> str | None:
    """Say in words what the first image of a TIFF is made of; None where it cannot be told."""
    try:
        tags = next(_directories(file), {})
    except _DAMAGED:
        return None
    if not tags:
        return None
    form, photometric = tags.get(_FORMAT, 1), tags.get(_PHOTOMETRIC, -1)
    kind = _FORMATS.get(form, f"samples of format {form}")
    colours = _PHOTOMETRICS.get(photometric, f"photometric interpretation {photometric}")
    return (
        f"{tags.get(_SAMPLES, 1)} x {tags.get(_BITS, 1)} bits, {kind}, {colours}, "
        f"compression {tags.get(_COMPRESSION, 1)}"
    )


def _is_half(large: Frame, small: Frame) -> bool:
    sides = ((large.width, small.width), (large.height, small.height))
    return all(side > 1 and half in (side // 2, (side + 1) // 2) for side, half in sides)


def _frame(tags: dict[int, int]) -> Frame:
    return Frame(tags.get(_WIDTH, 0), tags.get(_LENGTH, 0), bool(tags.get(SUBFILE, 0) & PREVIEW))


def _directories(file: BinaryIO) -> Iterator[dict[int, int]]:
    """Yield the directories of a TIFF: the first value of each integer tag. Raises ValueError for others."""
    order = {b"II": "<", b"MM": ">"}.get(file.read(2))
    if order is None:
        raise ValueError("no TIFF")

    def read(form: str) -> tuple[int, ...]:
        return struct.unpack(order + form, file.read(struct.calcsize(order + form)))

    [version] = read("H")
    if version == 42:
        number, entry, place = "H", "HHI4s", "I"
    elif version == 43:
        number, entry, place = "Q", "HHQ8s", "Q"
        read("HH")
    else:
        raise ValueError("no TIFF")
    size, inline = struct.calcsize(order + entry), struct.calcsize(order + place)
    [offset] = read(place)
    seen: set[int] = set()
    while offset:
        if offset in seen or len(seen) >= _MOST:
            raise ValueError("directories in a circle, or too many")
        seen.add(offset)
        file.seek(offset)
        [entries] = read(number)
        if entries > _MOST:
            raise ValueError("too many entries")
        body = file.read(entries * size)
        [offset] = read(place)
        tags = {}
        for tag, form, count, value in struct.iter_unpack(order + entry, body):
            if tag not in _TAGS:
                continue
            letter = _TYPES[form]
            if count * struct.calcsize(order + letter) <= inline:
                [tags[tag]] = struct.unpack_from(order + letter, value)
            else:
                file.seek(struct.unpack(order + place, value)[0])
                [tags[tag]] = read(letter)
        yield tags
