"""How many pages a TIFF holds, by its directories alone: of a file that is far away nothing else is read."""

from __future__ import annotations

import struct
from typing import BinaryIO

_SUBFILE, _PREVIEW = 254, 1  # see `flowkit.images.reader._frames`
_TYPES = {3: "H", 4: "I"}
_MOST = 10_000  # directories, and entries of one; no honest file has more


def count_tiff(file: BinaryIO) -> int | None:
    """The images of a TIFF or BigTIFF that are pages; None: it is none, or is not as it should be."""
    try:
        return _count(file)
    except (struct.error, OverflowError, KeyError):  # cut short, an offset beyond the end, a type of its own
        return None


def _count(file: BinaryIO) -> int | None:
    order = {b"II": "<", b"MM": ">"}.get(file.read(2))
    if order is None:
        return None

    def read(form: str) -> tuple[int, ...]:
        return struct.unpack(order + form, file.read(struct.calcsize(order + form)))

    [version] = read("H")
    if version == 42:
        number, entry, place = "H", "HHI4s", "I"
    elif version == 43:
        number, entry, place = "Q", "HHQ8s", "Q"
        read("HH")
    else:
        return None
    size = struct.calcsize(order + entry)
    [offset] = read(place)
    seen: set[int] = set()
    pages = 0
    while offset:
        if offset in seen or len(seen) >= _MOST:
            return None
        seen.add(offset)
        file.seek(offset)
        [entries] = read(number)
        if entries > _MOST:
            return None
        kind = 0
        for tag, form, _, value in struct.iter_unpack(order + entry, file.read(entries * size)):
            if tag == _SUBFILE:
                [kind] = struct.unpack_from(order + _TYPES[form], value)
        if len(seen) == 1 or not kind & _PREVIEW:
            pages += 1
        [offset] = read(place)
    return pages or None
