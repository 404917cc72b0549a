"""What is known of a page before it is decoded: its size, and the memory that decoding it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.errors import MemoryLimitError
from flowkit.images import reader
from flowkit.images.header import Header, header_of
from flowkit.images.pdf import write_page
from flowkit.images.reader import opened, read

GREY = np.kron(np.random.default_rng(0).integers(0, 256, (10, 12)), np.ones((20, 20))).astype(np.uint8)


def save(folder: Path, kind: str, pixels: np.ndarray, profile: bytes) -> Path:
    """An image file of one kind, from grey pixels."""
    grey = Image.fromarray(pixels)
    rgb, turned = grey.convert("RGB"), Image.Exif()
    clear = rgb.convert("RGBA")
    clear.putalpha(grey)
    turned[274] = 6
    images = {"colour": rgb, "grey": grey, "palette": rgb.convert("P"), "cmyk": rgb.convert("CMYK")}
    images |= {"clear": clear, "clear_grey": clear.convert("LA"), "bilevel": grey.convert("1")}
    images |= {"deep": Image.fromarray(pixels.astype(np.uint16) * 257)}
    options = {"turned": {"exif": turned}, "profile": {"icc_profile": profile}, "webp": {"method": 0}}
    name, _, suffix = kind.rpartition(".")
    path = folder / kind
    images.get(name, rgb).save(path, **options.get(name, {}), **options.get(suffix, {}))
    return path


KINDS = [
    "colour.png", "grey.png", "palette.png", "clear.png", "clear_grey.png", "deep.png", "colour.jpg",
    "grey.jpg", "cmyk.jpg", "turned.jpg", "profile.jpg", "bilevel.tif", "deep.tif", "turned.tif",
    "colour.tif", "colour.jp2", "grey.jp2", "colour.webp", "colour.gif", "colour.ppm",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_header_is_that_of_the_page_and_nothing_is_decoded(
    kind: str, tmp_path: Path, linear_profile: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, kind, GREY, linear_profile)
    page = read(path)
    headers: list[Header] = []

    def decode(*_: object) -> None:
        raise AssertionError("it was decoded")

    def refuse(header: Header) -> None:
        headers.append(header)
        raise MemoryLimitError("too large")

    monkeypatch.setattr(reader, "decode", decode)
    monkeypatch.setattr(Image.Image, "load", decode)
    with pytest.raises(MemoryLimitError, match="^too large$"):
        read(path, plan=refuse)
    [header] = headers
    assert (header.height, header.width) == page.size
    assert header.nbytes == page.pixels.nbytes
    assert header.decoding > header.nbytes


def test_a_header_leaves_what_is_read_as_it_is(tmp_path: Path) -> None:
    """Pillow would look for EXIF blocks behind the pixels of a PNG, and decode it."""
    path = save(tmp_path, "colour.png", GREY, b"")
    with opened(path) as image:
        before = list(image.tile)
        header_of(image)
        assert image.tile == before


def test_a_pdf_is_refused_before_its_pixels_come(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    path = tmp_path / "page.pdf"
    write_page(path, save(tmp_path, "grey.jpg", GREY, b"").read_bytes(), (300, 300), str(path))
    page = read(path)

    def refuse(header: Header) -> None:
        raise MemoryLimitError(f"{header.width} x {header.height}, {header.nbytes} bytes")

    height, width = page.size
    with pytest.raises(MemoryLimitError, match=f"^{width} x {height}, {page.pixels.nbytes} bytes$"):
        read(path, plan=refuse)


SCRIPT = """
import ctypes, gc, json, sys
from pathlib import Path
from flowkit.images.reader import read

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

found = {}
for name in sys.argv[1:]:
    headers = []
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the highest is counted anew
    before = status("VmRSS")
    page = read(name, plan=headers.append)
    found[name] = (status("VmHWM") - before, headers[0].decoding)
    del page
print(json.dumps(found))
"""


@pytest.mark.slow
def test_what_decoding_takes_is_estimated_from_above(tmp_path: Path, linear_profile: bytes) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("/proc/self/clear_refs is not there")
    pixels = np.kron(GREY, np.ones((10, 10), np.uint8))
    files = [str(save(tmp_path, kind, pixels, linear_profile)) for kind in KINDS]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *files], capture_output=True, text=True, check=True)
    for file, (needed, estimated) in json.loads(done.stdout).items():
        assert needed <= estimated, file
        assert estimated < 2 * needed + 20e6, file
