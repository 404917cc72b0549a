"""RGB of 16 bits a sample to PNG and TIFF, which Pillow cannot write; without loss."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from flowkit.images.dpi import Dpi
from flowkit.images.tiff_writer import LONG, RATIONAL, SHORT, TiffWriter, field

Rgb16 = NDArray[np.uint16]

_STRIP = 1 << 20  # bytes that are compressed at a time, at least a row
_UP = 2  # PNG: each byte less the one above it
_HORIZONTAL = 2  # TIFF: each sample less the one before it
_DEFLATE, _RGB, _INCH = 8, 2, 2


def write_png16(file: BinaryIO, values: Rgb16, dpi: Dpi) -> None:
    """Write (H, W, 3) as PNG."""
    height, width, _ = values.shape
    file.write(b"\x89PNG\r\n\x1a\n")
    file.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)))
    if dpi is not None:
        per_metre = [round(value / 0.0254) for value in dpi]
        file.write(_chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    packer = zlib.compressobj()
    above = np.zeros(6 * width, np.uint8)
    for strip in _strips(values):
        rows = strip.astype(">u2").view(np.uint8).reshape(len(strip), -1)
        filtered = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
        filtered[:, 0] = _UP
        filtered[:, 1:] = rows - np.concatenate([above[None], rows[:-1]])
        above = rows[-1]
        if body := packer.compress(filtered.tobytes()):
            file.write(_chunk(b"IDAT", body))
    file.write(_chunk(b"IDAT", packer.flush()))
    file.write(_chunk(b"IEND", b""))


def write_tiff16(file: BinaryIO, name: str, values: Rgb16, dpi: Dpi) -> None:
    """Write (H, W, 3) as TIFF by deflate. `name` is what errors call the file.

    Raises:
        OutputError: it takes more bytes than the offsets of a TIFF can say.
    """
    height, width, _ = values.shape
    fields = {
        256: field(LONG, width), 257: field(LONG, height), 258: field(SHORT, 16, 16, 16),
        259: field(SHORT, _DEFLATE), 262: field(SHORT, _RGB), 277: field(SHORT, 3),
        278: field(LONG, _rows(values)), 284: field(SHORT, 1), 317: field(SHORT, _HORIZONTAL),
    }  # fmt: skip
    if dpi is not None:
        fields |= {282: field(RATIONAL, dpi[0]), 283: field(RATIONAL, dpi[1]), 296: field(SHORT, _INCH)}
    TiffWriter(file, name).add(fields, map(_deflated, _strips(values)))


def _deflated(strip: Rgb16) -> bytes:
    steps = strip.copy()
    steps[:, 1:] -= strip[:, :-1]
    return zlib.compress(steps.astype("<u2").tobytes())


def _rows(values: Rgb16) -> int:
    return max(1, _STRIP // int(values[0].nbytes))


def _strips(values: Rgb16) -> Iterator[Rgb16]:
    rows = _rows(values)
    for top in range(0, len(values), rows):
        yield values[top : top + rows]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
