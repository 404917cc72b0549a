"""JPEG files that lack their end marker and nothing else."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from PIL import Image

from flowkit.images.guard import guarded

NOTE = "the file lacks its end marker, and nothing else"

_START, _END = b"\xff\xd8", b"\xff\xd9"
_FRAMES, _SCAN, _ALONE = (0xC0, 0xC1), 0xDA, (0x01, *range(0xD0, 0xD8))  # markers: sequential frames, ...
_NO_FRAMES = (0xC4, 0xC8, 0xCC)  # markers among those of frames that begin none
_PADDING = (b"", 64 * b"\x00", 64 * b"\x55", 64 * b"\xaa")


def without_end(file: BinaryIO) -> Image.Image | None:
    """Decode a JPEG that Pillow finds cut short; None unless all pixels are there.

    A decoder that runs out of data makes some up. So the file is decoded with several endings of nonsense: if
    no pixel depends on them, none is missing. Only for sequential JPEGs of one scan: of others, whole scans
    could be missing.
    """
    file.seek(0)
    data = file.read()
    if not _is_one_scan(data):
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


def _is_one_scan(data: bytes) -> bool:
    """Return true if a JPEG begins with a sequential frame and a scan of all its components."""
    place, components = len(_START), 0
    try:
        while True:
            while data[place + 1] == 0xFF:  # markers may be padded
                place += 1
            if data[place] != 0xFF:
                return False
            marker = data[place + 1]
            if marker in _ALONE:
                place += 2
                continue
            [length] = struct.unpack_from(">H", data, place + 2)
            if marker == _SCAN:
                return 0 < components == data[place + 4]
            if marker in _FRAMES:
                components = data[place + 9]
            elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
                return False
            place += 2 + length
    except (IndexError, struct.error):
        return False
