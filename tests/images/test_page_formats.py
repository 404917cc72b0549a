"""Formats in and out: PDF, pages of a TIFF, colour profiles, and dpi wherever a format can say it."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from flowkit.errors import FlowkitError, ImageError, OutputError
from flowkit.images.reader import count_pages, read
from flowkit.images.tiff_pages import count_tiff
from flowkit.images.writer import SUFFIXES, write_ink, write_picture

INK = np.random.default_rng(0).random((53, 37)) < 0.3


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dpi", [(300.0, 300.0), (400.0, 400.0), (123.5, 123.5), (2400.0, 2400.0)])
def test_ink_and_dpi_come_back(suffix: str, dpi: tuple[float, float], tmp_path: Path) -> None:
    path = tmp_path / f"page{suffix}"
    ink = np.tile(INK, (2, 3))  # so many pixels that a page of a PDF is not too small
    write_ink(path, ink, dpi)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    picture = read(path)
    assert picture.dpi == pytest.approx(dpi, rel=1e-3)
    assert np.array_equal(picture.pixels[..., 0] < 128, ink)
    assert picture.notes == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_grey_comes_back(suffix: str, tmp_path: Path) -> None:
    values = np.arange(512).astype(np.uint8).reshape(16, 32)
    write_picture(tmp_path / f"map{suffix}", values, (300, 300))
    assert np.array_equal(read(tmp_path / f"map{suffix}").pixels[..., 0], values)


@pytest.mark.parametrize("suffix", [".webp", ".jp2"])
def test_across_and_down_are_not_mixed_up(suffix: str, tmp_path: Path) -> None:
    write_ink(tmp_path / f"page{suffix}", INK, (200, 100))
    assert read(tmp_path / f"page{suffix}").dpi == (200, 100)


def test_a_pdf_holds_group_4(tmp_path: Path) -> None:
    write_ink(tmp_path / "page.pdf", INK, (300, 300))
    data = (tmp_path / "page.pdf").read_bytes()
    assert b"CCITTFaxDecode" in data
    assert b"DCTDecode" not in data


def pdf_of(path: Path, pages: list[Image.Image], resolution: float = 200) -> Path:
    pages[0].save(path, save_all=True, append_images=pages[1:], resolution=resolution)
    return path


def test_pages_of_a_pdf(tmp_path: Path) -> None:
    greys = [Image.new("L", (40, 30), level) for level in (10, 120, 240)]
    path = pdf_of(tmp_path / "book.pdf", greys)
    assert count_pages(path) == 3
    for page, level in enumerate((10, 120, 240)):
        picture = read(path, page=page)
        assert picture.size == (30, 40)
        assert picture.dpi == (200, 200)
        assert np.abs(picture.pixels.astype(int) - level).max() <= 2
        assert picture.notes == ()
    assert read(path).notes == ("holds 3 pages, only the first is used",)
    assert read(path, page=0, pdf_dpi=100).size == (15, 20)
    with pytest.raises(ImageError, match="has 3 pages, page 4 was asked for"):
        read(path, page=3)


def test_a_pdf_is_one_whatever_it_is_called(tmp_path: Path) -> None:
    path = pdf_of(tmp_path / "page.pdf", [Image.new("L", (40, 30), 99)]).rename(tmp_path / "page.png")
    assert read(path).size == (30, 40)


def test_large_and_damaged_pdfs_are_refused(tmp_path: Path) -> None:
    path = pdf_of(tmp_path / "large.pdf", [Image.new("1", (900, 900))], resolution=9000)
    with pytest.raises(ImageError, match="page 1: 900 x 900 pixels, more than the limit of 800,000"):
        read(path, max_pixels=800_000)
    with pytest.raises(ImageError, match="more than the limit"):
        read(path, max_pixels=800_000, pdf_dpi=72)  # drawn small, but decoded in full
    whole = path.read_bytes()
    for size in (20, len(whole) // 2):
        (tmp_path / "cut.pdf").write_bytes(whole[:size])
        with pytest.raises(ImageError, match=r"cut\.pdf: ") as caught:
            read(tmp_path / "cut.pdf")
        assert "\n" not in str(caught.value)


def test_what_pdf_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pdf_of(tmp_path / "page.pdf", [Image.new("1", (9, 9))])

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    for act in (lambda: read(path), lambda: write_ink(tmp_path / "out.pdf", INK)):
        with pytest.raises(FlowkitError, match=r"pip install 'flowkit-nf\[pdf\]'"):
            act()
    assert not (tmp_path / "out.pdf").exists()


def test_pages_of_a_tiff_without_its_previews(tmp_path: Path) -> None:
    path = tmp_path / "book.tif"
    with TiffImagePlugin.AppendingTiffWriter(path, new=True) as file:
        for level, preview in ((10, 0), (20, 1), (30, 0)):
            info = TiffImagePlugin.ImageFileDirectory_v2()
            info[254] = preview
            Image.new("L", (40, 30), level).save(file, format="TIFF", tiffinfo=info, dpi=(100 + level, 300))
            file.newFrame()
    assert count_pages(path) == 2
    for page, level in enumerate((10, 30)):
        picture = read(path, page=page)
        assert picture.pixels.max() == level
        assert picture.dpi == (100 + level, 300)
    with pytest.raises(ImageError, match="has 2 pages, page 3 was asked for"):
        read(path, page=2)


def test_a_damaged_page_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    path = tmp_path / "book.tif"
    pages = [Image.fromarray(np.full((40, 30), 50 * i, np.uint8)) for i in range(1, 4)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    path.write_bytes(path.read_bytes()[:-1100])
    assert read(path, page=0).pixels.max() == 50
    with pytest.raises(ImageError, match=r"book\.tif: page \d: .*damaged"):
        read(path, page=count_pages(path) - 1)


def test_a_colour_profile_is_applied(tmp_path: Path, linear_profile: bytes) -> None:
    red = Image.new("RGB", (8, 8), (120, 60, 200))
    lab = ImageCms.profileToProfile(
        red, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    lab.save(tmp_path / "lab.tif")
    assert np.abs(read(tmp_path / "lab.tif").pixels.astype(int) - (120, 60, 200)).max() <= 3
    cold = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    for name, profile in (("damaged", b"not a profile"), ("other", cold)):
        red.save(tmp_path / f"{name}.png", icc_profile=profile)
        picture = read(tmp_path / f"{name}.png")
        assert np.array_equal(picture.pixels[0, 0], (120, 60, 200))
        assert "colour profile is damaged or for other colours" in picture.notes[0]
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red.save(tmp_path / "linear.png", icc_profile=linear_profile)  # it is called sRGB, too
    assert read(tmp_path / "linear.png").pixels.min() > 60 + 20
    red.save(tmp_path / "srgb.png", icc_profile=srgb)
    assert read(tmp_path / "srgb.png").notes == ()
    deep = Image.fromarray(np.full((8, 8), 50_000, np.uint16))
    data = io.BytesIO()
    deep.save(data, "PNG", icc_profile=srgb)
    with Image.open(data) as image:
        assert "colour profile is damaged or for other colours" in read(image).notes[-1]


@pytest.mark.parametrize("dpi", [2, 65535, 1e9])
def test_absurd_dpi_is_not_believed(dpi: float, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "page.tif", dpi=(dpi, dpi))
    picture = read(tmp_path / "page.tif")
    assert picture.dpi is None
    assert picture.notes == (f"says {dpi:g} x {dpi:g} dpi, which is not believed",)


def test_a_page_that_a_pdf_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"page\.pdf: 0\.96 x 0\.96 points, .* 3 or more a side"):
        write_ink(tmp_path / "page.pdf", np.zeros((4, 4), bool), (300, 300))
    assert list(tmp_path.iterdir()) == []


def test_webp_has_a_largest_side(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="20000 x 2 pixels, WebP holds 16383 a side"):
        write_ink(tmp_path / "page.webp", np.zeros((2, 20_000), bool))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("tiffinfo") is None, reason="tiffinfo (libtiff-tools) is not installed")
def test_libtiff_reads_what_is_written(tmp_path: Path) -> None:
    write_ink(tmp_path / "page.tif", INK, (300, 300))
    said = subprocess.run(["tiffinfo", "-d", "page.tif"], cwd=tmp_path, capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    assert "CCITT Group 4" in said.stdout
    assert "Resolution: 300, 300 pixels/inch" in said.stdout


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_tesseract_reads_the_dpi(tmp_path: Path) -> None:
    write_ink(tmp_path / "page.tif", np.kron(INK, np.ones((8, 8))) > 0, (300, 300))
    said = subprocess.run(["tesseract", "page.tif", "-"], cwd=tmp_path, capture_output=True, text=True)
    assert "resolution" not in said.stderr.lower()  # "Invalid resolution 0 dpi. Using 70 instead."


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("pages", [1, 2, 12])
def test_pages_of_a_tiff_by_its_directories_alone(pages: int, big: bool, tmp_path: Path) -> None:
    path = tmp_path / "book.tif"
    first, *rest = [Image.new("L", (40 + i, 30)) for i in range(pages)]
    first.save(path, save_all=True, append_images=rest, big_tiff=big)
    data = path.read_bytes()
    assert count_tiff(io.BytesIO(data)) == count_pages(path) == pages
    for cut in (1, 3, 7, 9, len(data) - 1):
        assert count_tiff(io.BytesIO(data[:cut])) in (None, pages)
    assert count_tiff(io.BytesIO(b"%PDF-1.7" + data)) is None


def levels(path: Path, *sizes: tuple[int, int]) -> Path:
    """A TIFF of images that do not say which of them are pages."""
    first, *rest = [Image.new("L", size, 9 * number) for number, size in enumerate(sizes)]
    first.save(path, save_all=True, append_images=rest)
    return path


@pytest.mark.parametrize(
    ("sizes", "pages"),
    [
        ([(200, 81), (100, 41), (50, 20)], {0: 2}),
        ([(200, 81), (100, 40), (50, 20), (25, 10), (12, 5)], {0: 4}),
        ([(200, 81), (100, 41), (50, 20), (200, 81), (100, 41), (50, 20)], {0: 2, 3: 2}),
        ([(60, 90), (200, 81), (100, 41), (50, 20)], {0: 0, 1: 2}),
        ([(200, 81), (100, 41)], {0: 0, 1: 0}),  # may be a page and a smaller one
        ([(200, 81), (100, 41), (50, 21)], {0: 2}),
        ([(200, 81), (100, 41), (50, 30)], {0: 0, 1: 0, 2: 0}),
        ([(200, 81)] * 3, {0: 0, 1: 0, 2: 0}),
        ([(1, 1)] * 3, {0: 0, 1: 0, 2: 0}),
    ],
)
def test_a_pyramid_is_one_page(sizes: list[tuple[int, int]], pages: dict[int, int], tmp_path: Path) -> None:
    path = levels(tmp_path / "book.tif", *sizes)
    assert count_pages(path) == len(pages)
    with path.open("rb") as file:
        assert count_tiff(file) == len(pages)
    for page, (frame, copies) in enumerate(pages.items()):
        picture = read(path, page=page)
        assert picture.size == sizes[frame][::-1]
        assert picture.pixels.max() == 9 * frame
        note = f"{copies} smaller copies of it are left out (a pyramid)"
        assert picture.notes == ((note,) if copies else ())
    assert (read(path).notes == ()) is (len(sizes) == 1)


def test_previews_and_loops_in_a_tiff(tmp_path: Path) -> None:
    path = tmp_path / "book.tif"
    pages = [Image.new("L", (40, 30)) for _ in range(3)]
    with TiffImagePlugin.AppendingTiffWriter(path, new=True) as file:
        for page, kind in zip(pages, (1, 1, 0), strict=True):
            page.save(file, format="TIFF", tiffinfo={254: kind})
            file.newFrame()
    data = path.read_bytes()
    assert count_tiff(io.BytesIO(data)) == count_pages(path) == 2  # the first image is none, whatever it says
    [first] = struct.unpack_from("<I", data, 4)
    [entries] = struct.unpack_from("<H", data, first)
    loop = bytearray(data)
    struct.pack_into("<I", loop, first + 2 + 12 * entries, first)
    assert count_tiff(io.BytesIO(loop)) is None
