"""Files that are damaged, hostile or not what they are called: a page or one clear line, in little memory."""

from __future__ import annotations

import io
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pytest
from outcomes import outcome
from PIL import Image, ImageCms
from tiffs import tiff

from flowkit.errors import ImageError
from flowkit.images.reader import MAX_PAGES, count_pages, read
from flowkit.images.writer import write_picture


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


def test_long_comments_of_a_pnm_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "page.ppm"
    pixels = bytes(range(18))
    path.write_bytes(b"P6\n# a scanner\n3 2 # of pixels\n255\n" + pixels)
    assert read(path).pixels.tobytes() == pixels
    path.write_bytes(b"P6\n# " + b"x" * 70_000 + b"\n3 2\n255\n" + pixels)
    with pytest.raises(ImageError, match=r"page\.ppm: no size in the first 65,536 bytes of a PNM file"):
        read(path)


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
