"""Files that are damaged, hostile or not what they are called: a page or one clear line, in little memory."""

from __future__ import annotations

import io
import os
import random
import resource
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pytest
from PIL import Image, ImageCms
from tiffs import tiff

from flowkit.errors import ImageError
from flowkit.images.reader import MAX_PAGES, count_pages, read
from flowkit.images.writer import write_picture

MEGABYTE = 1_000_000


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def small_files() -> dict[str, bytes]:
    """Every format and most modes."""
    pixels = np.random.default_rng(0).integers(0, 256, (23, 31, 3), dtype=np.uint8)
    rgb = Image.fromarray(pixels)
    grey, bilevel, palette, cmyk = (rgb.convert(mode) for mode in ("L", "1", "P", "CMYK"))
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    see_through = rgb.copy()
    see_through.putalpha(grey)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 300.0
    more: dict[str, Any] = {"exif": exif, "icc_profile": profile}
    files = {
        "rgb.png": encoded(rgb, "PNG", dpi=(300, 300), **more),
        "alpha.png": encoded(see_through, "PNG"),
        "palette.png": encoded(palette, "PNG"),
        "deep.png": encoded(deep, "PNG"),
        "grey.jpg": encoded(grey, "JPEG", **more),
        "cmyk.jpg": encoded(cmyk, "JPEG"),
        "progressive.jpg": encoded(rgb, "JPEG", progressive=True),
        "lossy.webp": encoded(rgb, "WEBP", **more),
        "lossless.webp": encoded(see_through, "WEBP", lossless=True),
        "grey.gif": encoded(grey, "GIF", save_all=True, append_images=[grey.rotate(90)]),
        "rgb.bmp": encoded(rgb, "BMP"),
        "palette.bmp": encoded(palette, "BMP"),
        "rgb.ppm": encoded(rgb, "PPM"),
        "deep.pgm": encoded(deep, "PPM"),
        "bilevel.pbm": encoded(bilevel, "PPM"),
        "text.ppm": b"P3\n3 2\n255\n" + b" ".join(b"%d" % value for value in range(18)),
        "rgb.jp2": encoded(rgb, "JPEG2000"),
        "grey.j2k": encoded(grey, "JPEG2000", no_jp2=True),
        "pages.tif": encoded(
            rgb.copy(), "TIFF", save_all=True, append_images=[grey.copy(), rgb.copy()], dpi=(300, 300)
        ),
        "cmyk.tif": encoded(cmyk, "TIFF"),
        "deep.tif": encoded(deep, "TIFF"),
        "floats.tif": encoded(rgb.convert("F"), "TIFF"),
        "group4.tif": encoded(bilevel, "TIFF", compression="group4"),
    }
    colour = np.random.default_rng(1).integers(0, 65536, (23, 31, 3))
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("png", "tif"):
            write_picture(Path(folder, f"a.{suffix}"), colour.astype(np.uint16))
            files[f"deep_colour.{suffix}"] = Path(folder, f"a.{suffix}").read_bytes()
    files |= {
        "deep_planes.tif": tiff(colour, 16, photometric=2, planar=True),
        "white_is_0.tif": tiff(colour[..., 0], 16, photometric=0),
        "signed.tif": tiff(colour[..., 0] - 32768, 16, form=2),
        "twelve.tif": tiff(colour[..., 0] >> 4, 12, deflate=True),
        "long.tif": tiff(colour[..., 0] * 65537, 32),
    }
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        files[f"{compression}.tif"] = encoded(rgb, "TIFF", compression=compression)
    return files


FILES = small_files()


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Cut, with changed bytes (more often in the header), without a piece, or with a piece twice."""
    kind, size = rng.random(), len(data)
    first, second = sorted((rng.randrange(size), rng.randrange(size)))
    if kind < 0.25:
        return data[:second]
    if kind < 0.8:
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            place = rng.randrange(min(size, rng.choice((64, 200, size))))
            changed[place] = rng.choice(
                (0, 0xFF, 0x7F, rng.randrange(256), changed[place] ^ 1 << rng.randrange(8))
            )
        return bytes(changed)
    return data[:first] + data[second:] if kind < 0.9 else data[:second] + data[first:]


def outcome(path: Path) -> str:
    """ "page" or "error"; anything else that is raised is a failure of the test, and so is a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            pages = count_pages(path)
            picture = read(path)
            read(path, page=pages - 1)
        except ImageError as error:
            assert str(error).startswith(str(path))
            assert "\n" not in str(error)
            return "error"
    assert picture.pixels.dtype in (np.uint8, np.uint16)
    assert 0 not in picture.pixels.shape
    return "page"


@pytest.mark.parametrize("name", FILES)
def test_any_damage_is_a_page_or_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(name)  # a text seeds the same in every process
    path = tmp_path / name
    seen = set()
    for _ in range(60):
        path.write_bytes(damaged(FILES[name], rng) or b"\0")
        seen.add(outcome(path))
    assert "error" in seen
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "name", [name for name in FILES if not name.startswith(("text", "grey.gif", "floats"))]
)
def test_a_file_that_is_cut_is_never_taken_for_whole(name: str, tmp_path: Path) -> None:
    path, data = tmp_path / name, FILES[name]
    for size in range(0, len(data) - 20, len(data) // 12):
        path.write_bytes(data[:size])
        with pytest.raises(ImageError, match=r"empty|not an image|damaged or cut short"):
            for page in range(count_pages(path)):
                read(path, page=page)


def test_a_fax_with_a_bad_line_is_damaged_and_libtiff_keeps_quiet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(FILES["group4.tif"])
    with Image.open(io.BytesIO(data)) as image:
        start = image.tag_v2[273][0]
    data[start + 20 : start + 24] = b"\xff\x00\xff\x00"
    (tmp_path / "fax.tif").write_bytes(data)
    with pytest.raises(ImageError, match=r"fax\.tif: the image is damaged or cut short \(Fax4Decode: "):
        read(tmp_path / "fax.tif")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.5])
def test_floating_point_pixels(value: float, tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 7), value, np.float32)).save(tmp_path / "page.tif")
    with pytest.raises(ImageError, match=r"page\.tif: floating point pixels, expected integers"):
        read(tmp_path / "page.tif")


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "JPEG2000", "PDF"])
def test_the_smallest_pages(size: tuple[int, int], kind: str, tmp_path: Path) -> None:
    Image.new("L", size, 200).save(tmp_path / "page", kind)
    assert read(tmp_path / "page").pixels.shape[:2] == (size[1], size[0]) or kind == "PDF"


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


def test_long_comments_of_a_pnm_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "page.ppm"
    pixels = bytes(range(18))
    path.write_bytes(b"P6\n# a scanner\n3 2 # of pixels\n255\n" + pixels)
    assert read(path).pixels.tobytes() == pixels
    path.write_bytes(b"P6\n# " + b"x" * 70_000 + b"\n3 2\n255\n" + pixels)
    with pytest.raises(ImageError, match=r"page\.ppm: no size in the first 65,536 bytes of a PNM file"):
        read(path)


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


def test_a_tiff_of_too_many_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_PAGES == 10_000
    monkeypatch.setattr("flowkit.images.reader.MAX_PAGES", 2)
    with pytest.raises(ImageError, match=r"pages\.tif: has more than 2 pages"):
        (tmp_path / "pages.tif").write_bytes(FILES["pages.tif"])
        count_pages(tmp_path / "pages.tif")
    with pytest.raises(ImageError, match=r"pages\.tif: has more than 2 pages"):
        read(tmp_path / "pages.tif")


def test_pdfs_without_pages_or_behind_a_password(tmp_path: Path) -> None:
    with pikepdf.new() as document:
        document.save(tmp_path / "none.pdf")
        document.add_blank_page()
        document.save(tmp_path / "locked.pdf", encryption=pikepdf.Encryption(owner="a", user="b"))
    with pytest.raises(ImageError, match=r"none\.pdf: a PDF that is damaged or has no pages"):
        count_pages(tmp_path / "none.pdf")
    with pytest.raises(ImageError, match=r"locked\.pdf: an encrypted PDF, which needs a password"):
        count_pages(tmp_path / "locked.pdf")


def test_any_damage_to_a_pdf(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(np.arange(81, dtype=np.uint8).reshape(9, 9)), "PDF", resolution=72)
    rng, path = random.Random(0), tmp_path / "page.pdf"
    seen = set()
    for _ in range(12):  # few: every one takes processes
        path.write_bytes(b"%PDF-" + damaged(data, rng))
        seen.add(outcome(path))
    assert "error" in seen


def test_links_in_a_circle_and_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "folder.png").mkdir()
    for name, message in {
        "a.png": "no such file|too many levels",
        "pipe.tif": "not a regular file",
        "folder.png": "is a folder",
    }.items():
        with pytest.raises(ImageError, match=rf"(?i){name}: .*({message})"):
            count_pages(tmp_path / name)
