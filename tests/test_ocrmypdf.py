"""OCRmyPDF with the plug-in: the real program, Tesseract and Ghostscript, on drawn scans."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from flowkit.degradations.scan import degrade

ocrmypdf = pytest.importorskip("ocrmypdf", reason="ocrmypdf is not installed (extra ocrmypdf)")

import img2pdf  # noqa: E402  # ocrmypdf needs both
import pikepdf  # noqa: E402

LINES = ("The quick brown fox", "jumps over the lazy dog."), ("Other words stand", "on the second page.")
DPI = 200


@pytest.fixture(scope="session")
def scans(tmp_path_factory) -> Path:
    """A PDF of two grey scans, 700 x 300 pixels at 200 dpi, and a bilevel one."""
    matplotlib = pytest.importorskip("matplotlib")
    face = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSerif.ttf")
    pages = []
    for number, lines in enumerate(LINES):
        sheet = Image.new("L", (700, 300))
        font = ImageFont.truetype(str(face), 34)
        ImageDraw.Draw(sheet).multiline_text((80, 80), "\n".join(lines), fill=255, font=font, spacing=24)
        ink = np.asarray(sheet) > 127
        pages.append(jpeg(degrade(ink, np.random.default_rng(number))))
    pages.append(tiff(Image.fromarray(~ink)))
    path = tmp_path_factory.mktemp("scans") / "scans.pdf"
    path.write_bytes(img2pdf.convert(pages))
    return path


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, dpi=(DPI, DPI))
    return file.getvalue()


def tiff(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "TIFF", compression="group4", dpi=(DPI, DPI))
    return file.getvalue()


def ocr(*argv: object) -> subprocess.CompletedProcess[str]:
    """Run OCRmyPDF with the plug-in."""
    for program in ("tesseract", "gs"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    command = [sys.executable, "-m", "ocrmypdf", "--plugin", "flowkit.ocrmypdf", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def images(path: Path) -> list[tuple[list[float], bytes, int]]:
    """Return each page's size in points, and its image's bytes and bits a pixel."""
    with pikepdf.open(path) as pdf:
        found = []
        for page in pdf.pages:
            (image,) = page.get_images().values()
            bits = int(image.BitsPerComponent) * (3 if image.get("/ColorSpace") == "/DeviceRGB" else 1)
            found.append(([round(float(side), 1) for side in page.mediabox], image.read_raw_bytes(), bits))
    return found


def test_its_options_load_no_torch():
    code = "import sys, flowkit.ocrmypdf; assert not {'torch', 'numpy', 'scipy'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_readers_and_ocr_see_black_and_white(scans, tmp_path):
    out, text = tmp_path / "out.pdf", tmp_path / "out.txt"
    programs = "--rasterizer ghostscript --output-type pdfa-2 --pdfa-backend ghostscript"
    done = ocr("--flowkit", "both", "--jobs", 2, *programs.split(), "--sidecar", text, scans, out)
    assert done.returncode == 0, done.stderr
    read = text.read_text()
    assert [line for lines in LINES for line in lines if line not in read] == []
    before, after = images(scans), images(out)
    assert [size for size, _, _ in after] == [size for size, _, _ in before]
    assert [bits for _, _, bits in after] == [1, 1, 1]
    assert 4 * out.stat().st_size < scans.stat().st_size


@pytest.mark.slow
def test_ocr_alone_leaves_the_pages_as_they_are(scans, tmp_path):
    out, text = tmp_path / "out.pdf", tmp_path / "out.txt"
    more = ["--no-use-threads", "--jobs", 2, "--optimize", 0, "--output-type", "pdf"]
    done = ocr("--flowkit", "ocr", *more, "--sidecar", text, scans, out)
    assert done.returncode == 0, done.stderr
    assert images(out) == images(scans)
    read = text.read_text()
    assert [line for lines in LINES for line in lines if line not in read] == []


@pytest.mark.slow
def test_clean_pages_have_white_paper(scans, tmp_path):
    out, text = tmp_path / "out.pdf", tmp_path / "out.txt"
    done = ocr("--flowkit", "clean", "--pages", 2, "--optimize", 0, "--sidecar", text, scans, out)
    assert done.returncode == 0, done.stderr
    assert [line for line in LINES[1] if line not in text.read_text()] == []
    with pikepdf.open(out) as pdf:
        (image,) = pdf.pages[1].get_images().values()
        grey = np.asarray(pikepdf.PdfImage(image).as_pil_image().convert("L"))
    assert grey.shape == (300, 700)
    assert (grey > 250).mean() > 0.8
    assert grey.min() < 60


@pytest.mark.slow
def test_what_is_more_than_a_scan_is_not_rasterized(scans, tmp_path):
    with pikepdf.open(scans) as pdf:
        for page in pdf.pages[1:]:
            page.contents_add(b"0 0 m 100 100 l S")
        pdf.save(tmp_path / "drawn.pdf")
    done = ocr("--flowkit", "page", tmp_path / "drawn.pdf", tmp_path / "out.pdf")
    assert done.returncode == 1
    assert "--flowkit page would turn more than scans into pixels (page 2, 3: lines or shapes)" in done.stderr
    done = ocr("--flowkit", "page", "--redo-ocr", scans, tmp_path / "out.pdf")
    assert done.returncode == 1
    assert "OCRmyPDF makes none with --mode redo: expected --flowkit ocr" in done.stderr
    done = ocr("--flowkit-model", "none-such", scans, tmp_path / "out.pdf")
    assert done.returncode == 1
    assert "--flowkit-model: " in done.stderr
    assert "none-such" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.pdf").exists()
