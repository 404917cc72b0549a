"""Every kind of file in, every format out: the same ink as from the plain page, upright, with its dpi."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from flowkit.cli import main
from flowkit.images.reader import read
from flowkit.images.writer import SUFFIXES, write_picture
from flowkit.pages import binarize

DPI = 300


@pytest.fixture(scope="module")
def page() -> Image.Image:
    """Grey in colour, white at the right, 36 x 48 pixels."""
    values = np.random.default_rng(1).integers(0, 256, (48, 36), dtype=np.uint8)
    values[:, 28:] = 255
    return Image.fromarray(np.repeat(values[..., None], 3, 2))


def stored(page: Image.Image) -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    """The page as files: name, what is stored, and how."""
    grey = page.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    clear = Image.new("RGBA", page.size)  # transparent black where the page is white
    clear.paste(page, mask=Image.fromarray(np.where(np.asarray(grey) < 255, 255, 0).astype(np.uint8)))
    turned, exif = page.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6
    exif[0x011A] = exif[0x011B] = DPI
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for suffix in ("png", "tif", "bmp", "jp2", "ppm"):
        yield f"rgb.{suffix}", page, {"dpi": (DPI, DPI)}
    for suffix in ("png", "tif"):
        dpi: dict[str, Any] = {"dpi": (DPI, DPI)}
        yield f"grey-{suffix}.{suffix}", grey, dpi
        yield f"deep-{suffix}.{suffix}", deep, dpi
        yield f"palette-{suffix}.{suffix}", grey.convert("P"), dpi
        yield f"profile-{suffix}.{suffix}", page, dpi | {"icc_profile": srgb}
        yield f"turned-{suffix}.{suffix}", turned, dpi | {"exif": exif}
    yield "alpha.png", clear, dpi
    yield "cmyk.tif", page.convert("CMYK"), dpi
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"{compression}.tif", page, dpi | {"compression": compression}
    yield "plain.webp", page, {"lossless": True, "exif": exif_of_dpi()}
    yield "turned-webp.webp", turned, {"lossless": True, "exif": exif}
    yield "grey.gif", grey, {}


def exif_of_dpi() -> Image.Exif:
    exif = Image.Exif()
    exif[0x011A] = exif[0x011B] = DPI
    return exif


NO_DPI = {"ppm", "gif", "jp2"}  # Pillow writes none in them


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_page_in_any_format(suffix: str, page: Image.Image, ink_checkpoint: Path, tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    names = []
    for name, image, options in stored(page):
        image.save(scans / f"{Path(name).stem}-{Path(name).suffix[1:]}{Path(name).suffix}", **options)
        names.append(f"{Path(name).stem}-{Path(name).suffix[1:]}")
    write_picture(scans / "drawn-pdf.pdf", np.asarray(page), (DPI, DPI))
    names.append("drawn-pdf")
    options = ["--format", suffix[1:], "--model", str(ink_checkpoint)]
    assert main(["binarize", str(scans), "-o", str(out), "--scale", "1", *options]) == 0
    expected = binarize(page, model=ink_checkpoint, scale=1).binary
    assert 0.1 < expected.mean() < 0.9
    assert sorted(path.stem for path in out.glob(f"*{suffix}")) == sorted(names)
    for name in names:
        result = read(out / f"{name}{suffix}")
        assert np.array_equal(result.pixels[..., 0] < 128, expected), name
        if suffix == ".pdf":
            assert result.dpi == (DPI, DPI)
        elif name.rpartition("-")[2] in NO_DPI:
            assert result.dpi is None
        else:
            assert result.dpi == pytest.approx((DPI, DPI), abs=0.02), name


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1)])
def test_the_smallest_pages(suffix: str, size: tuple[int, int], ink_checkpoint: Path, tmp_path: Path) -> None:
    Image.new("L", size, 9).save(tmp_path / "in.png", dpi=(DPI, DPI))
    out = tmp_path / f"out{suffix}"
    code = main(["binarize", str(tmp_path / "in.png"), "-o", str(out), "--model", str(ink_checkpoint)])
    if suffix == ".pdf":  # a page of a PDF is at least 3 points wide and high
        assert code == 2
        assert [path.name for path in tmp_path.iterdir()] == ["in.png"]
    else:
        assert code == 0
        assert read(out).size == (size[1], size[0])


@pytest.mark.skipif(shutil.which("tiffinfo") is None, reason="tiffinfo (libtiff-tools) is not installed")
def test_libtiff_reads_every_page_of_a_document(
    page: Image.Image, ink_checkpoint: Path, tmp_path: Path
) -> None:
    page.save(tmp_path / "in.tif", save_all=True, append_images=[page, page.rotate(90)], dpi=(DPI, DPI))
    out = tmp_path / "out.tif"
    assert main(["binarize", str(tmp_path / "in.tif"), "-o", str(out), "--model", str(ink_checkpoint)]) == 0
    said = subprocess.run(["tiffinfo", "-d", str(out)], capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.count("Compression Scheme: CCITT Group 4") == 3
    assert said.stdout.count(f"Resolution: {DPI}, {DPI} pixels/inch") == 3
    assert said.stdout.count("Bits/Sample: 1") == 3


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_tesseract_finds_no_fault_with_the_dpi(ink_checkpoint: Path, tmp_path: Path) -> None:
    Image.new("L", (300, 200), 255).save(tmp_path / "in.jpg", dpi=(DPI, DPI))
    out = tmp_path / "out.tif"
    assert main(["binarize", str(tmp_path / "in.jpg"), "-o", str(out), "--model", str(ink_checkpoint)]) == 0
    said = subprocess.run(["tesseract", str(out), "-"], capture_output=True, text=True)
    assert said.returncode == 0
    assert "resolution" not in said.stderr.lower()  # "Invalid resolution 0 dpi. Using 70 instead."
