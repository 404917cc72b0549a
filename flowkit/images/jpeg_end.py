"""JPEG files that lack their end marker and nothing else."""

from __future__ import annotations

import io
import re
import struct
from typing import BinaryIO

from PIL import Image

from flowkit.images.guard import guarded

NOTE = "the file lacks its end marker, and nothing else"

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SEQUENTIAL, _PROGRESSIVE, _SCAN = (0xC0, 0xC1), 0xC2, 0xDA  # markers
_OTHER_FRAMES = (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # the others are data, and restarts within it
_ALL = frozenset(range(64))  # coefficients of a block
_PADDING = (b"", 64 * b"\x00", 64 * b"\x55", 64 * b"\xaa")


def without_end(file: BinaryIO) -> Image.Image | None:
    """Decode a JPEG that Pillow finds cut short; None unless all pixels are there.

    A decoder that runs out of data invents some. So the file is decoded with several random endings: if no
    pixel depends on them, none is missing. Beyond that, only whole scans could be missing.
    """
    file.seek(0)
    data = file.read()
    if not _has_all_scans(data):
        return None
    data = data.removesuffix(b"\xff")  # half of the marker
    first, pixels = None, b""
    for padding in _PADDING:
        with guarded():
            image = Image.open(io.BytesIO(data + padding + _END), formats=("JPEG",))
        image.load()
        if first is None:
            first, pixels = image, image.tobytes()
        elif image.tobytes() != pixels:
            return None
    return first


def _has_all_scans(data: bytes) -> bool:
    """Return whether the scans of a JPEG begin that give every coefficient of every component in full."""
    place = len(_START)
    missing: dict[int, set[int]] = {}
    try:
        while (found := _MARKER.search(data, place)) is not None:
            marker, place = found.group()[-1], found.end()
            [length] = struct.unpack_from(">H", data, place)
            body = data[place + 2 : place + length]
            place += length
            if marker in (*_SEQUENTIAL, _PROGRESSIVE):
                missing = {body[6 + 3 * n]: set(_ALL) for n in range(body[5])}
            elif marker in _OTHER_FRAMES:
                return False
            elif marker == _SCAN:
                first, last, precision = body[-3:]
                for n in range(body[0]):
                    if not precision & 0x0F:
                        missing[body[1 + 2 * n]] -= set(range(first, last + 1))
    except (IndexError, KeyError, ValueError, struct.error):
        return False
    return bool(missing) and not any(missing.values())
