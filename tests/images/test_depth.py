"""Integers of any depth, sign and polarity: the same page, or a refusal that names what was found."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiffs import tiff

from flowkit.errors import ImageError
from flowkit.images.colour16 import is_deeper
from flowkit.images.reader import read

PAGE = np.random.default_rng(0).random((23, 31))  # black 0, white 1
PAGE[3:8, 4:20], PAGE[12:] = 0, 1


def stored(bits: int, *, white_is_zero: bool = False) -> np.ndarray:
    samples = np.rint(PAGE * (2**bits - 1)).astype(np.int64)
    return 2**bits - 1 - samples if white_is_zero else samples


def seen(path: Path) -> np.ndarray:
    pixels = read(path).pixels[..., 0]
    return pixels / float(np.iinfo(pixels.dtype).max)


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16, 32])
def test_unsigned_integers(bits: int, order: str, photometric: int, deflate: bool, tmp_path: Path) -> None:
    path = tmp_path / "page.tif"
    samples = stored(bits, white_is_zero=photometric == 0)
    path.write_bytes(tiff(samples, bits, photometric=photometric, order=order, deflate=deflate))
    assert np.abs(seen(path) - PAGE).max() <= 0.51 / (2 ** min(bits, 16) - 1) + 0.51 / 65535
    assert read(path).notes == ()


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_signed_integers(bits: int, order: str, deflate: bool, tmp_path: Path) -> None:
    path = tmp_path / "page.tif"
    half = 2 ** (bits - 1)
    path.write_bytes(tiff(stored(bits) - half, bits, form=2, order=order, deflate=deflate))
    assert np.abs(seen(path) - PAGE).max() <= 1 / (2 ** min(bits, 16) - 1)
    assert read(path).notes == (f"its samples are signed, {-half} is taken for black",)
    path.write_bytes(tiff(stored(bits - 1), bits, form=2, order=order, deflate=deflate))
    assert np.abs(seen(path) - PAGE).max() <= 1 / (2 ** min(bits - 1, 16) - 1)
    assert read(path).notes == ("its samples are signed, none is below 0, which is taken for black",)


@pytest.mark.parametrize("tag", [281, 341])
def test_fewer_bits_than_a_sample_holds_where_the_file_says_so(tag: int, tmp_path: Path) -> None:
    path = tmp_path / "page.tif"
    path.write_bytes(tiff(stored(12), 16, more=[(tag, 4095)]))
    assert np.abs(seen(path) - PAGE).max() <= 1 / 4095
    assert read(path).notes == ()
    # the greatest value of a page is not what white is, nor is one that the page exceeds
    path.write_bytes(tiff(stored(16), 16, more=[(tag, 60_000)]))
    assert np.abs(seen(path) - PAGE).max() <= 1 / 65535
    path.write_bytes(tiff(stored(16), 16, more=[(tag, 4095)]))
    assert np.abs(seen(path) - PAGE).max() <= 1 / 65535


@pytest.mark.parametrize(("used", "bits"), [(8, 16), (10, 16), (12, 16), (14, 16), (12, 32), (16, 32)])
def test_fewer_bits_than_a_sample_holds_and_nothing_says_so(used: int, bits: int, tmp_path: Path) -> None:
    path = tmp_path / "page.tif"
    path.write_bytes(tiff(stored(used), bits))
    assert np.abs(seen(path) - PAGE).max() <= 1 / (2**used - 1)
    seen_above = f"uses {used} of {bits} bits (no sample is above {2**used - 1})"
    assert read(path).notes == (f"{seen_above}, and is scaled to the full range",)


def test_a_page_in_12_of_16_bits_is_scaled_in_any_format(tmp_path: Path) -> None:
    deep = Image.fromarray(stored(12).astype(np.uint16))
    for suffix in ("png", "tif", "jp2"):
        deep.save(tmp_path / f"page.{suffix}")
        assert np.abs(seen(tmp_path / f"page.{suffix}") - PAGE).max() <= 1 / 4095
        assert read(tmp_path / f"page.{suffix}").notes[0].startswith("uses 12 of 16 bits")


def test_dark_and_blank_pages_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "page.tif"
    dark = stored(16) // 3  # a third of the range is a dark page, and no page of 14 bits
    path.write_bytes(tiff(dark, 16))
    assert np.array_equal(read(path).pixels[..., 0], dark)
    path.write_bytes(tiff(np.zeros((5, 4), int), 16))
    assert read(path).pixels.max() == 0
    assert read(path).notes == ()
    path.write_bytes(tiff(np.full((5, 4), 900), 16, photometric=0))  # paper, nearly white
    assert read(path).pixels.min() == 65535 - 900
    [note] = read(path).notes
    assert note == "uses 10 of 16 bits (no sample is above 900); it is not made darker, for it may be blank"


@pytest.mark.parametrize("bits", [24, 64])
def test_other_depths_are_refused_by_name(bits: int, tmp_path: Path) -> None:
    page = tmp_path / "page.tif"
    page.write_bytes(tiff(stored(bits // 8), bits))
    found = (
        rf"page\.tif: a TIFF of 1 x {bits} bits, unsigned integers, black is 0, compression 1, which cannot "
    )
    with pytest.raises(ImageError, match=found) as caught:
        read(page)
    assert "\n" not in str(caught.value)


def test_integers_that_are_no_grey_levels() -> None:
    with pytest.raises(ImageError, match=r"image: values from -1 to 70000, expected 0 to 65535"):
        read(Image.fromarray(np.array([[-1, 70_000]], np.int32)))


def test_one_grey_level_that_is_transparent_in_16_bits(tmp_path: Path) -> None:
    deep = Image.fromarray(stored(16).astype(np.uint16))
    deep.save(tmp_path / "page.png", transparency=0)
    expected = np.where(stored(16) == 0, 65535, stored(16))
    assert np.array_equal(read(tmp_path / "page.png").pixels[..., 0], expected)


def test_a_grey_profile_is_applied_to_16_bits(tmp_path: Path, grey_profile: bytes) -> None:
    for kind in (np.uint8, np.uint16):
        top = np.iinfo(kind).max
        values = np.linspace(0, top, 24 * 24).round().astype(kind).reshape(24, 24)
        Image.fromarray(values).save(tmp_path / f"{top}.png", icc_profile=grey_profile)
    plain, deep = (read(tmp_path / f"{top}.png") for top in (255, 65535))
    assert deep.notes == plain.notes == ()
    assert np.abs(plain.rgb8().astype(int) - deep.rgb8()).max() <= 7  # half a level, where it is steep
    assert np.abs(plain.pixels[..., 0] - np.linspace(0, 255, 24 * 24).reshape(24, 24)).max() > 20
    assert len(np.unique(deep.pixels)) > 256


COLOUR = np.random.default_rng(1).integers(0, 65536, (9, 14, 3))
TIFFS: dict[str, dict[str, Any]] = {
    "plain": {},
    "big endian": {"order": ">"},
    "deflate": {"deflate": True},
    "big endian, deflate": {"order": ">", "deflate": True},
    "planes": {"planar": True},
    "planes, big endian": {"planar": True, "order": ">"},
}


@pytest.mark.parametrize("kind", TIFFS)
def test_tiffs_of_16_bit_colour(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "page.tif"
    path.write_bytes(tiff(COLOUR, 16, photometric=2, **TIFFS[kind]))
    picture = read(path)
    assert picture.pixels.dtype == np.uint16
    assert np.array_equal(picture.pixels, COLOUR)
    assert picture.notes == ()
    path.write_bytes(tiff(COLOUR >> 4, 16, photometric=2, **TIFFS[kind]))
    assert np.abs(read(path).pixels / 65535 - (COLOUR >> 4) / 4095).max() < 1e-4
    assert read(path).notes[0].startswith("uses 12 of 16 bits")


def test_colour_that_is_read_in_8_bits_has_a_note(tmp_path: Path, linear_profile: bytes) -> None:
    note = "its colours of more than 8 bits are read as 8"
    path = tmp_path / "page"
    see_through = np.dstack([COLOUR, np.full(COLOUR.shape[:2], 65535)])
    for data in (
        tiff(COLOUR, 16, photometric=2, planar=True, deflate=True),
        tiff(see_through, 16, photometric=2, more=[(338, 2)]),
        b"P6\n14 9\n65535\n" + COLOUR.astype(">u2").tobytes(),
    ):
        path.write_bytes(data)
        picture = read(path)
        assert np.abs(picture.pixels.astype(int) - COLOUR / 257).max() <= 1
        assert picture.notes == (note,)
    path.write_bytes(tiff(see_through >> 4, 16, photometric=2, more=[(338, 2)]))
    with pytest.raises(ImageError, match="nothing is above a quarter of its 16 bits, of which 8 are read"):
        read(path)
    path.write_bytes(tiff(np.dstack([COLOUR] * 2)[..., :4], 16, photometric=5, planar=True))
    with pytest.raises(ImageError, match="planes of 16 bits in CMYK, expected RGB or 8 bits"):
        read(path)
    data = io.BytesIO()
    Image.fromarray(COLOUR.astype(np.uint8)).save(data, "JPEG2000", no_jp2=True)
    codestream = bytearray(data.getvalue())
    with Image.open(data) as image:
        assert not is_deeper(image)
    codestream[42] = 15
    with Image.open(io.BytesIO(codestream)) as image:
        assert is_deeper(image)


def test_a_profile_of_16_bit_colour(tmp_path: Path, linear_profile: bytes) -> None:
    deep, plain = tmp_path / "deep.png", tmp_path / "plain.png"
    deep.write_bytes(png_of_16_bits(COLOUR))
    assert np.array_equal(read(deep).pixels, COLOUR)
    assert read(deep).notes == ()
    deep.write_bytes(png_of_16_bits(COLOUR, linear_profile))
    Image.fromarray((COLOUR >> 8).astype(np.uint8)).save(plain, icc_profile=linear_profile)
    assert np.array_equal(read(deep).pixels, read(plain).pixels)
    assert read(deep).notes == ("its colours of more than 8 bits are read as 8",)


def png_of_16_bits(values: np.ndarray, profile: bytes | None = None) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    colours = b"" if profile is None else chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))
    pieces = chunk(b"IHDR", header), colours, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)
