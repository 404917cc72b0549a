from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from flowkit.data.page_files import read_ink, read_rgb
from flowkit.errors import DataError
from flowkit.images.reader import read


@pytest.fixture
def page(pixels):
    return Image.fromarray(pixels(21, 34, 0))


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "profile"])
def test_training_pages_are_read_as_pages_are(mode, page, linear_profile, tmp_path):
    more = {}
    if mode == "I;16":
        image = Image.fromarray(np.asarray(page.convert("L")).astype(np.uint16) * 257)
    elif mode == "profile":
        image, more = page, {"icc_profile": linear_profile}
    else:
        image = page.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    file = saved(tmp_path / "a.tif", image, **more)
    seen = read(file).window(slice(0, 21), slice(0, 34), 3)[0].permute(1, 2, 0).numpy()
    assert np.abs(read_rgb(file) - 255 * seen).max() < 1e-3
    if mode == "profile":
        assert read_rgb(file).mean() > np.asarray(page).mean() + 5


def test_photographs_are_turned(page, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    assert read_rgb(saved(tmp_path / "a.png", page, exif=exif)).shape == (34, 21, 3)


def test_a_suffix_may_be_wrong(page, tmp_path):
    page.save(tmp_path / "a.bmp", format="PNG")
    assert np.array_equal(read_rgb(tmp_path / "a.bmp"), np.asarray(page))


def test_files_that_cannot_be_used(page, tmp_path, monkeypatch):
    whole = saved(tmp_path / "whole.png", page).read_bytes()
    torn, empty, text, bomb = (tmp_path / f"{name}.png" for name in ("torn", "empty", "text", "bomb"))
    torn.write_bytes(whole[: len(whole) // 2])
    empty.touch()
    text.write_text("not an image")
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    bomb.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
        )
    )
    real = saved(tmp_path / "real.tif", Image.fromarray(np.zeros((4, 4), np.float32)))
    for file, words in (
        (torn, "the image is damaged or cut short"),
        (empty, "the file is empty"),
        (text, "not an image that can be read"),
        (bomb, "60000 x 60000 pixels, more than the limit of 200,000,000"),
        (real, "floating point pixels"),
        (tmp_path / "none.png", "no such file"),
        (tmp_path, "is a folder, expected an image"),
    ):
        with pytest.raises(DataError, match=f"{file.name}: .*{words}") as error:
            read_rgb(file)
        assert len(str(error.value).splitlines()) == 1
    assert Image.MAX_IMAGE_PIXELS is not None


def test_ink_is_black_or_below_a_threshold(tmp_path):
    grey = saved(tmp_path / "a.png", Image.fromarray(np.array([[0, 99, 100, 255]], np.uint8)))
    assert read_ink(grey, 100).tolist() == [[True, True, False, False]]
    with pytest.raises(DataError, match=r"grey ones \(2 of 4\)"):
        read_ink(grey)
    two = saved(tmp_path / "b.png", Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"))
    assert read_ink(two).tolist() == [[True, False]]
