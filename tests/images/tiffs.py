"""TIFF files of samples that Pillow cannot write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np


def packed(samples: np.ndarray, bits: int, order: str = "<") -> bytes:
    """Rows of samples (H, W) or (H, W, C), each row beginning with a byte of its own."""
    rows = samples.reshape(len(samples), -1)
    if bits in (8, 16, 32):
        kind = "i" if rows.dtype.kind == "i" else "u"
        return rows.astype(f"{order}{kind}{bits // 8}").tobytes()
    planes = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(planes.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def tiff(
    samples: np.ndarray,
    bits: int,
    *,
    photometric: int = 1,
    form: int = 1,
    order: str = "<",
    deflate: bool = False,
    planar: bool = False,
    more: Sequence[tuple[int, int]] = (),
) -> bytes:
    """A TIFF of one strip, or of one for each colour; `more` are tags of one SHORT."""
    height, width, *rest = samples.shape
    channels = rest[0] if rest else 1
    parts = [samples[..., c] for c in range(channels)] if planar else [samples]
    strips = [packed(part, bits, order) for part in parts]
    if deflate:
        strips = [zlib.compress(strip) for strip in strips]
    data = b"".join(strips)
    values: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [bits] * channels),
        259: ("H", [8 if deflate else 1]), 262: ("H", [photometric]),
        273: ("I", [8 + sum(map(len, strips[:n])) for n in range(len(strips))]),
        277: ("H", [channels]), 278: ("I", [height]), 279: ("I", list(map(len, strips))),
        284: ("H", [2 if planar else 1]), 339: ("H", [form] * channels),
    }  # fmt: skip
    values |= {tag: ("H", [value]) for tag, value in more}
    entries, tail = b"", b""
    for tag, (letter, numbers) in sorted(values.items()):
        body = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(body) > 4:
            place = 8 + len(data) + len(tail)
            tail += body + bytes(-len(body) % 4)
            body = struct.pack(f"{order}I", place)
        kind = {"H": 3, "I": 4}[letter]
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + body.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data) + len(tail))
    return head + data + tail + struct.pack(f"{order}H", len(values)) + entries + bytes(4)
