"""Small files that unpack to large ones: a page or one clear line, in little memory."""

from __future__ import annotations

import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from outcomes import outcome

MEGABYTE = 1_000_000


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes, size: tuple[int, int] = (9, 9), data: bytes = zlib.compress(bytes(90))) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tif(*entries: tuple[int, int], data: bytes = b"", following: int = 0) -> bytes:
    place = 8 + 2 + 12 * len(entries) + 4
    ifd = b"".join(struct.pack("<HHII", tag, 4, 1, place if value < 0 else value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + ifd + struct.pack("<I", following) + data


def grey_tif(width: int, height: int, data: bytes, compression: int = 8, **more: int) -> bytes:
    return tif(
        (256, width), (257, height), (258, 8), (259, compression), (262, 1), (273, -1), (277, 1),
        (278, more.get("rows", height)), (279, more.get("count", len(data))),
        data=data, following=more.get("following", 0),
    )  # fmt: skip


def pdf(*objects: bytes) -> bytes:
    data, places = b"%PDF-1.5\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    return data + head + table + b"trailer<</Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(data)


def stream(keys: bytes, body: bytes) -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (keys, len(body), body)


def one_page(content: bytes, resources: bytes, *objects: bytes, box: bytes = b"0 0 90 90") -> bytes:
    return pdf(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 4 0 R/Resources<<%s>>>>" % (box, resources),
        content,
        *objects,
    )


def image_object(width: int, height: int, body: bytes, keys: bytes = b"/Filter/FlateDecode") -> bytes:
    colours = b"/ColorSpace/DeviceGray/BitsPerComponent 8"
    return stream(
        b"/Type/XObject/Subtype/Image/Width %d/Height %d%s%s" % (width, height, colours, keys), body
    )


def laughs() -> bytes:
    """Ten forms that each draw the next ten times."""
    forms = []
    for i in range(12):
        resources = b"/Resources<</XObject<</F %d 0 R>>>>" % (6 + i) if i < 11 else b""
        forms.append(stream(b"/Type/XObject/Subtype/Form/BBox[0 0 90 90]" + resources, b"/F Do " * 10))
    return one_page(stream(b"", b"/F Do"), b"/XObject<</F 5 0 R>>", *forms)


def bombs() -> dict[str, Callable[[], bytes]]:
    packer = zlib.compressobj(9)
    head, part = packer.flush(zlib.Z_FULL_FLUSH), packer.compress(b" " * MEGABYTE)
    much = head + 1000 * (part + packer.flush(zlib.Z_FULL_FLUSH)) + packer.flush()
    draw = stream(b"", b"q 90 0 0 90 0 0 cm /I Do Q")
    picture = b"/XObject<</I 5 0 R>>"
    return {
        "pixels.png": lambda: png(size=(60_000, 60_000), data=much),
        "more_than_declared.png": lambda: png(data=much),
        "profile.png": lambda: png(chunk(b"iCCP", b"x\0\0" + much)),
        "text.png": lambda: png(chunk(b"zTXt", b"x\0\0" + much)),
        "wide.tif": lambda: grey_tif(2**31 - 1, 1, much),
        "tall.tif": lambda: grey_tif(1, 2**32 - 1, bytes(9), compression=1),
        "more_than_declared.tif": lambda: grey_tif(9, 9, much, rows=2**32 - 1),
        "count.tif": lambda: grey_tif(9, 9, bytes(81), compression=1, count=2**32 - 16),
        "loop.tif": lambda: grey_tif(1, 1, bytes(1), compression=1, following=8),
        "tiles.tif": lambda: tif(
            *[(256, 9), (257, 9), (258, 8), (259, 8), (262, 1), (277, 1), (322, 65_536), (323, 65_536)],
            *[(324, -1), (325, len(much))],
            data=much,
        ),
        "no_page.tif": lambda: b"II*\0\0\0\0\0",
        "header.bmp": lambda: struct.pack(
            "<2sIIIIiiHHIIiiII", b"BM", 99, 0, 54, 40, 2**30, -(2**30), 1, 24, 0, 0, 0, 0, 0, 0
        ),
        "header.ppm": lambda: b"P5 999999999999 999999999999 255\n",
        "header.gif": lambda: b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\x02\0\0\0;",
        "content.pdf": lambda: one_page(stream(b"/Filter/FlateDecode", much), b""),
        "image.pdf": lambda: one_page(draw, picture, image_object(60_000, 60_000, much)),
        "more_than_declared.pdf": lambda: one_page(draw, picture, image_object(9, 9, much)),
        "mask.pdf": lambda: one_page(
            draw, picture, image_object(3, 3, bytes(9), b"/SMask 6 0 R"), image_object(60_000, 60_000, much)
        ),
        "laughs.pdf": laughs,
        "sheet.pdf": lambda: one_page(stream(b"", b""), b"", box=b"0 0 1e9 1e9"),
        "pages.pdf": lambda: pdf(
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1000000000>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        ),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", bombs())
def test_bombs_need_little_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(bombs()[name]())
    before = peak_of(resource.RUSAGE_SELF), peak_of(resource.RUSAGE_CHILDREN)
    outcome(path)
    assert peak_of(resource.RUSAGE_SELF) - before[0] < 150 * MEGABYTE
    # Linux hands the parent's peak down to the children that it starts
    assert peak_of(resource.RUSAGE_CHILDREN) < max(*before, 1000 * MEGABYTE) + 50 * MEGABYTE


def peak_of(whose: int) -> int:
    return resource.getrusage(whose).ru_maxrss * 1024
