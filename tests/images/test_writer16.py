"""16 bits a sample, written and bound: the same numbers come back, through Pillow's decoders."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.errors import ImageError, OutputError
from flowkit.images import multipage
from flowkit.images.multipage import bind, replace_page
from flowkit.images.reader import count_pages, read
from flowkit.images.writer import holds_16_bits, write_ink, write_picture
from flowkit.images.writer16 import write_tiff16

PAGE = np.random.default_rng(0).integers(0, 65536, (31, 23, 3)).astype(np.uint16)


@pytest.mark.parametrize("dpi", [None, (300.0, 150.0), (214.5, 214.5)])
@pytest.mark.parametrize("suffix", ["png", "tif", "TIFF"])
@pytest.mark.parametrize("strip", [1, 500, 1 << 20])
def test_colour_comes_back(
    suffix: str, dpi: tuple[float, float] | None, strip: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowkit.images.writer16._STRIP", strip)
    path = tmp_path / f"page.{suffix}"
    write_picture(path, PAGE, dpi)
    picture = read(path)
    assert picture.pixels.dtype == np.uint16
    assert np.array_equal(picture.pixels, PAGE)
    assert picture.dpi == (None if dpi is None else pytest.approx(dpi, abs=0.02))
    assert picture.notes == ()
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), PAGE >> 8)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["pdf", "webp", "jp2", "jpg"])
def test_formats_that_hold_no_16_bits(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"page.{suffix}"
    assert not holds_16_bits(path, 3)
    assert holds_16_bits(path, 2) is (suffix == "jp2")
    with pytest.raises(OutputError, match=rf"page\.{suffix}: holds 8 bits a sample, expected \.png or \.tif"):
        write_picture(path, PAGE, lossy=True)


@pytest.mark.parametrize("most", [0, 4_000_000_000])
def test_pages_of_any_depth_in_one_tiff(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipage, "_MOST_TIFF", most)
    parts = [tmp_path / f"{number}.tif" for number in range(5)]
    write_picture(parts[0], PAGE, (300, 300))
    write_picture(parts[1], PAGE[..., 0], (300, 150))
    write_picture(parts[2], (PAGE >> 8).astype(np.uint8))
    write_ink(parts[3], PAGE[..., 1] > 30_000, (600, 600))
    write_picture(parts[4], PAGE[:11], (200, 200))
    bind(tmp_path / "book.tif", parts)
    assert (tmp_path / "book.tif").read_bytes()[:4] == (b"II*\0" if most else b"II+\0")
    assert count_pages(tmp_path / "book.tif") == len(parts)
    for number, part in enumerate(parts):
        found, expected = read(tmp_path / "book.tif", page=number), read(part)
        assert found.pixels.dtype == expected.pixels.dtype
        assert np.array_equal(found.pixels, expected.pixels)
        assert found.dpi == expected.dpi
    with Image.open(tmp_path / "book.tif") as book:
        book.seek(3)
        assert book.info["compression"] == "group4"


@pytest.mark.parametrize("most", [0, 4_000_000_000])
def test_a_page_takes_the_place_of_one_in_a_tiff(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipage, "_MOST_TIFF", most)
    parts = [tmp_path / f"{number}.tif" for number in range(3)]
    for part, page in zip(parts, (PAGE, PAGE[..., 0], PAGE[:11]), strict=True):
        write_picture(part, page, (300, 300))
    new, book = tmp_path / "new.tif", tmp_path / "book.tif"
    write_ink(new, PAGE[..., 1] > 30_000, (600, 600))
    bind(book, [parts[0], new, parts[2]])
    wanted = book.read_bytes()
    bind(book, parts)
    replace_page(book, 1, new)
    assert book.read_bytes() == wanted
    with pytest.raises(ImageError, match=r"book\.tif: has 3 pages, page 4 was asked for"):
        replace_page(book, 3, new)
    assert book.read_bytes() == wanted


@pytest.mark.parametrize("circle", [False, True])
def test_a_tiff_without_pages_or_end_is_no_document(circle: bool, tmp_path: Path) -> None:
    part, book = tmp_path / "1.tif", tmp_path / "book.tif"
    write_picture(part, PAGE)
    data = bytearray(part.read_bytes())
    if circle:  # its directory leads to itself
        place = int.from_bytes(data[4:8], "little")
        end = place + 2 + 12 * data[place]
        data[end : end + 4] = data[4:8]
    else:
        data[4:8] = bytes(4)
    book.write_bytes(data)
    with pytest.raises(ImageError, match=r"book\.tif: is damaged, and cannot be a page of a document"):
        replace_page(book, 0, part)
    assert book.read_bytes() == data


def test_a_tiff_beyond_4_gb_is_refused() -> None:
    class Huge(io.BytesIO):
        def tell(self) -> int:
            return super().tell() << 28

    with pytest.raises(OutputError, match=r"page\.tif: more than 4 GB, which a TIFF cannot hold"):
        write_tiff16(Huge(), "page.tif", PAGE, None)


@pytest.mark.parametrize("cut", [0, 3, 7, 60])
def test_a_damaged_page_of_a_document_is_named(cut: int, tmp_path: Path) -> None:
    part = tmp_path / "1.tif"
    write_picture(part, PAGE)
    part.write_bytes(part.read_bytes()[:cut])
    with pytest.raises(ImageError, match=r"1\.tif: is damaged, and cannot be a page of a document"):
        bind(tmp_path / "book.tif", [part])
    assert list(tmp_path.iterdir()) == [part]
