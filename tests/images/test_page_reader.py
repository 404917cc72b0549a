from __future__ import annotations

import io
import os
import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import flowkit.images
from flowkit.data.page_files import read_rgb
from flowkit.errors import ImageError
from flowkit.images.picture import Picture
from flowkit.images.reader import read

INK, PAPER = (30, 30, 30), (230, 230, 230)


def drawn(width: int = 37, height: int = 53) -> Image.Image:
    """A dark bar near the top of light paper, off centre both ways."""
    image = Image.new("RGB", (width, height), PAPER)
    ImageDraw.Draw(image).rectangle((5, 4, 20, 12), fill=INK)
    return image


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def png_header(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def assert_bar(picture: Picture) -> None:
    height, width = picture.size
    assert (width, height) == (37, 53)
    top = float(np.iinfo(picture.pixels.dtype).max)
    for channel in range(picture.pixels.shape[2]):
        grey = picture.pixels[..., channel] / top
        assert np.array_equal(grey < 0.5, np.asarray(drawn().convert("L")) < 128)


HELD = {
    "png": ["1", "L", "RGB", "P", "I;16"],
    "tif": ["1", "L", "RGB", "P", "CMYK", "I;16"],
    "bmp": ["1", "L", "RGB", "P"],
    "jp2": ["L", "RGB"],
    "webp": ["L", "RGB"],
    "gif": ["1", "L", "P"],
    "ppm": ["1", "L", "RGB", "I;16"],
}


@pytest.mark.parametrize(("suffix", "mode"), [(s, mode) for s, modes in HELD.items() for mode in modes])
def test_modes_and_formats(suffix: str, mode: str, tmp_path: Path) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.asarray(drawn().convert("L")).astype(np.uint16) * 257)
    else:
        image = drawn().convert(mode, dither=Image.Dither.NONE)
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    picture = read(save(tmp_path / f"page.{suffix}", image, **options))
    assert_bar(picture)
    assert picture.notes == ()
    assert picture.pixels.dtype == (np.uint16 if mode == "I;16" else np.uint8)
    if mode == "I;16":
        assert picture.pixels.max() == 230 * 257
    assert picture.pixels.shape[2] == 1 or mode in ("RGB", "P", "CMYK") or suffix in ("webp", "gif")


def test_jpeg_in_grey_colour_and_cmyk(tmp_path: Path) -> None:
    for mode in ("L", "RGB", "CMYK"):
        assert_bar(read(save(tmp_path / f"{mode}.jpg", drawn().convert(mode), quality=98, subsampling=0)))


def test_big_endian_16_bit_tiff(tmp_path: Path) -> None:
    values = np.asarray(drawn().convert("L")).astype(">u2") * 257
    entries = [
        (256, 37), (257, 53), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 53),
        (279, values.nbytes),
    ]  # fmt: skip
    ifd = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in entries)
    body = struct.pack(">H", len(entries)) + ifd + struct.pack(">I", 0)
    path = tmp_path / "page.tif"
    path.write_bytes(
        b"MM\x00*" + struct.pack(">I", 8 + values.nbytes) + values.astype(">u2").tobytes() + body
    )
    assert_bar(read(path))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(mode: str, tmp_path: Path) -> None:
    ink = Image.new("RGBA", (37, 53), (0, 0, 0, 0))
    ImageDraw.Draw(ink).rectangle((5, 4, 20, 12), fill=(0, 0, 0, 255))
    options: dict[str, Any] = {}
    if mode == "P":
        image = Image.new("P", ink.size, 0)
        image.putpalette([0, 0, 0, 0, 0, 0])
        image.paste(1, (5, 4, 21, 13))
        options["transparency"] = 0
    else:
        image = ink.convert(mode)
    assert_bar(read(save(tmp_path / "page.png", image, **options)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_picture_under_full_transparency_is_used(mode: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {}
    if mode == "P":
        image = drawn().convert("P", palette=Image.Palette.ADAPTIVE)
        options["transparency"] = bytes(256)
    else:
        image = drawn().convert(mode)
        image.putalpha(0)
    picture = read(save(tmp_path / "page.png", image, **options))
    assert_bar(picture)
    assert picture.notes == ("every pixel is transparent; the colours under the transparency are used",)


def test_nothing_under_full_transparency_is_paper(tmp_path: Path) -> None:
    picture = read(save(tmp_path / "page.png", Image.new("RGBA", (5, 4), (9, 9, 9, 0))))
    assert picture.pixels.min() == 255
    assert picture.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif_orientation_is_applied(orientation: int, suffix: str, tmp_path: Path) -> None:
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = drawn() if undo is None else drawn().transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"page.{suffix}", stored, exif=exif, dpi=(300, 150))
    picture = read(path)
    assert_bar(picture)
    assert picture.dpi == ((150, 300) if orientation >= 5 else (300, 150))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("dpi", [72, 200, 300, 600])
def test_dpi_is_read(suffix: str, dpi: int, tmp_path: Path) -> None:
    assert read(save(tmp_path / f"page.{suffix}", drawn(), dpi=(dpi, dpi))).dpi == (dpi, dpi)


def test_no_dpi_is_made_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "no resolution here"
    for path in (
        save(tmp_path / "plain.png", drawn()),
        save(tmp_path / "plain.jpg", drawn()),
        save(tmp_path / "exif.jpg", drawn(), exif=exif),
        save(tmp_path / "plain.tif", drawn()),
    ):
        assert read(path).dpi is None, path.name


def test_only_the_first_image_of_a_file(tmp_path: Path) -> None:
    path = save(tmp_path / "two.tif", drawn(), save_all=True, append_images=[Image.new("RGB", (8, 8))])
    picture = read(path)
    assert_bar(picture)
    assert picture.notes == ("holds 2 images, only the first is used",)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp", "ppm", "jp2"])
def test_truncated(suffix: str, tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8))
    path = save(tmp_path / f"page.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"page\.\w+: .*(damaged|not an image)") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image at all")
    (tmp_path / "empty.png").touch()
    (tmp_path / "script.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    os.mkfifo(tmp_path / "pipe.png")
    for name, message in {
        "text.png": "not an image that can be read",
        "script.eps": "not an image that can be read",
        "empty.png": "the file is empty",
        "none.png": "no such file",
        "pipe.png": "is not a regular file",
        ".": "is a folder, expected an image",
        "text.png/page.png": "no such file",
        "a" * 300: "cannot be read",
        "nul\0.png": "no such file",
    }.items():
        with pytest.raises(ImageError, match=message) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(30000, 20000, zlib.compress(bytes(1_000_000))))

    def decoded(self: Image.Image) -> None:
        pytest.fail("decoded before its size was checked")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    with pytest.raises(ImageError, match="30000 x 20000 pixels, more than the limit of 200,000,000"):
        read(path)


def test_the_limit_is_ours_and_pillows_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "page.png", drawn())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow would refuse, and warn
    assert_bar(read(path, max_pixels=37 * 53))
    with pytest.raises(ImageError, match="37 x 53 pixels, more than the limit of 1,960"):
        read(path, max_pixels=37 * 53 - 1)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_pillows_warnings_stay_inside(tmp_path: Path) -> None:
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x05"  # promises five entries, holds none
    path = save(tmp_path / "page.jpg", drawn(), exif=exif, quality=98, subsampling=0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert_bar(read(path))
    assert not seen


def test_threads_read_at_the_same_time(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.{suffix}", drawn()) for i in range(6) for suffix in ("png", "tif")]
    before = Image.MAX_IMAGE_PIXELS
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:  # a page and training data: there is one limit, and one lock
            found = list(pool.map(read, paths)), list(pool.map(read_rgb, paths))
    finally:
        sys.setswitchinterval(interval)
    for picture in found[0]:
        assert_bar(picture)
    assert all(np.array_equal(values, np.asarray(drawn())) for values in found[1])
    assert before == Image.MAX_IMAGE_PIXELS


def test_pillows_limit_is_set_in_one_place() -> None:
    modules = Path(flowkit.images.__file__).parent.parent.rglob("*.py")
    assert [path.name for path in modules if "MAX_IMAGE_PIXELS" in path.read_text()] == ["guard.py"]


def test_floating_point_files_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "page.tif", drawn().convert("F"))
    with pytest.raises(ImageError, match="floating point pixels, expected integers"):
        read(path)


def test_pillow_image_that_is_still_a_file(tmp_path: Path) -> None:
    data = io.BytesIO()
    drawn().save(data, "PNG", dpi=(300, 300))
    with Image.open(data) as image:
        picture = read(image)
    assert_bar(picture)
    assert picture.dpi == (300, 300)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)"),
        (np.zeros(4, np.uint8), r"shape \(4,\)"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((4, 4), bool), "type bool"),
        (np.zeros((4, 4), np.int64), "type int64"),
        (np.full((4, 4), 255.0), "values from 255 to 255"),
        (np.full((4, 4), np.nan), "values from nan to nan"),
        (torch.zeros(1, 3, 4, 4), r"shape \(1, 3, 4, 4\)"),
    ],
)
def test_arrays_that_are_no_images(array: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read(array)


def test_windows_are_floats_and_go_on_beyond_the_page() -> None:
    pixels = np.array([[0, 255], [51, 102]], np.uint8)
    window = read(pixels).window(slice(1, 4), slice(0, 3), 3)
    expected = torch.tensor([[0.2, 0.4, 0.4]] * 3).expand(1, 3, 3, 3)
    assert torch.allclose(window, expected)
    deep = read(pixels.astype(np.uint16) * 257).window(slice(1, 4), slice(0, 3), 1)
    assert torch.allclose(deep, expected[:, :1])


def test_colour_becomes_luma() -> None:
    window = read(np.eye(3, dtype=np.uint8)[None] * 255).window(slice(0, 1), slice(0, 3), 1)
    assert torch.allclose(window.flatten(), torch.tensor([0.299, 0.587, 0.114]))
