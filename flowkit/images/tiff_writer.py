"""TIFF and BigTIFF files of any number of pages, written from directories and strips."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

from flowkit.errors import ImageError, OutputError

SHORT, LONG, RATIONAL, LONG8 = 3, 4, 5, 16
_SIZES = {1: 1, 2: 1, SHORT: 2, LONG: 4, RATIONAL: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, LONG8: 8}
_OFFSETS, _COUNTS = 273, 279  # of strips
_LETTERS = {SHORT: "H", LONG: "I", LONG8: "Q"}
_CLASSIC, _BIG = ("I", "H", "<HHI4s"), ("Q", "Q", "<HHQ8s")  # of an offset, a number of entries, an entry


class Field(NamedTuple):
    """The value of a tag: its type, how many of them, and their bytes, little end first."""

    kind: int
    number: int
    data: bytes


def field(kind: int, *numbers: float) -> Field:
    """Return a field of numbers."""
    if kind == RATIONAL:
        ratios = [Fraction(number).limit_denominator(10_000) for number in numbers]
        data = b"".join(struct.pack("<II", ratio.numerator, ratio.denominator) for ratio in ratios)
    else:
        data = struct.pack(f"<{len(numbers)}{_LETTERS[kind]}", *numbers)
    return Field(kind, len(numbers), data)


class TiffWriter:
    """A TIFF that grows by a page at a time.

    Args:
        file: empty, and open for writing.
        name: for errors.
        big: whether offsets have 64 bits.
    """

    def __init__(self, file: BinaryIO, name: str, *, big: bool = False) -> None:
        self._file = file
        self._name = name
        self._offset, self._number, self._entry = _BIG if big else _CLASSIC
        self._place = LONG8 if big else LONG
        head = b"II+\0" + struct.pack("<HH", 8, 0) if big else b"II*\0"
        self._link = len(head)  # where the offset of the next directory is to stand
        file.write(head + bytes(self._width))

    def add(self, fields: Mapping[int, Field], strips: Iterable[bytes]) -> None:
        """Append a page.

        Args:
            fields: tag -> value, but where its strips are, and how long.
            strips: their bytes, compressed as the fields say.

        Raises:
            OutputError: the file would be larger than its offsets can say.
        """
        file = self._file
        try:
            places = []
            for strip in strips:
                places.append((file.tell(), len(strip)))
                file.write(strip + bytes(len(strip) % 2))
            offsets, counts = (field(self._place, *numbers) for numbers in zip(*places, strict=True))
            entries = b""
            for tag, (kind, count, data) in sorted({**fields, _OFFSETS: offsets, _COUNTS: counts}.items()):
                if len(data) > self._width:
                    where = struct.pack(f"<{self._offset}", file.tell())
                    file.write(data + bytes(len(data) % 2))
                    data = where
                entries += struct.pack(self._entry, tag, kind, count, data)
            directory = file.tell()
            here = struct.pack(f"<{self._offset}", directory)
        except struct.error:
            raise OutputError(f"{self._name}: more than 4 GB, which a TIFF cannot hold") from None
        number = len(fields) + 2
        file.write(struct.pack(f"<{self._number}", number) + entries + bytes(self._width))
        file.seek(self._link)
        file.write(here)
        self._link = file.seek(0, 2) - self._width

    @property
    def _width(self) -> int:
        """Bytes of an offset."""
        return struct.calcsize(self._offset)


def stored_pages(file: BinaryIO, name: Path) -> Iterator[tuple[dict[int, Field], Iterator[bytes]]]:
    """Yield the fields and the strips of every page of a TIFF, as they are stored; one page at least.

    Raises:
        ImageError: it is no TIFF such as flowkit writes.
    """
    try:
        version = file.read(4)
        if version not in (b"II*\0", b"II+\0"):
            raise ValueError("no TIFF")
        offset, number, entry = _BIG if version == b"II+\0" else _CLASSIC
        file.seek(8 if offset == "Q" else 4)
        link, seen = _number(file, offset), set[int]()
        if not link:
            raise ValueError("no page")
        while link:
            if link in seen:
                raise ValueError("pages in a circle")
            seen.add(link)
            file.seek(link)
            entries = file.read(_number(file, number) * struct.calcsize(entry))
            link = _number(file, offset)
            fields = {}
            for tag, kind, count, data in list(struct.iter_unpack(entry, entries)):
                size = count * _SIZES[kind]
                if size > len(data):
                    file.seek(*struct.unpack(f"<{offset}", data))
                    data = file.read(size)
                fields[tag] = Field(kind, count, data[:size])
            places = [
                struct.unpack(f"<{count}{_LETTERS[kind]}", data)
                for kind, count, data in (fields.pop(_OFFSETS), fields.pop(_COUNTS))
            ]
            yield fields, _read(file, zip(*places, strict=True))
    except (ValueError, KeyError, struct.error):
        raise ImageError(f"{name}: is damaged, and cannot be a page of a document") from None


def _number(file: BinaryIO, letter: str) -> int:
    [found] = struct.unpack(f"<{letter}", file.read(struct.calcsize(letter)))
    return int(found)


def _read(file: BinaryIO, places: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    for offset, count in places:
        file.seek(offset)
        yield file.read(count)
