"""Damaged files through the command line: a result or one line, within the limits on time and memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_damaged_pages import FILES, damaged, encoded

from flowkit.images.reader import read

PAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (23, 31), dtype=np.uint8))
KINDS = {
    "png": ("rgb.png", "alpha.png", "palette.png", "deep_colour.png"),
    "jpg": ("grey.jpg", "cmyk.jpg", "progressive.jpg"),
    "webp": ("lossy.webp", "lossless.webp"),
    "gif": ("grey.gif",),
    "bmp": ("rgb.bmp", "palette.bmp"),
    "ppm": ("rgb.ppm", "deep.pgm", "bilevel.pbm", "text.ppm"),
    "jp2": ("rgb.jp2", "grey.j2k"),
    "tif": ("pages.tif", "cmyk.tif", "deep.tif", "group4.tif", "jpeg.tif", "tiff_lzw.tif"),
    "tiff": ("deep_planes.tif", "white_is_0.tif", "signed.tif", "twelve.tif", "long.tif"),
    "pdf": ("page.pdf",),
}
MEMORY = 400  # MB beyond what this process has


@pytest.mark.slow
@pytest.mark.parametrize("suffix", KINDS)
def test_damaged_files_at_the_command_line(
    suffix: str,
    attempt: Callable[..., tuple[int, str]],
    fuzzed: Callable[[int], range],
    resident: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ink_checkpoint: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    limit = resident // 1_000_000 + MEMORY
    files = {**FILES, "page.pdf": encoded(PAGE, "PDF", resolution=72)}
    path, found = Path(f"page.{suffix}"), {0: 0, 1: 0, 2: 0}
    for number in fuzzed(10):
        rng = random.Random(f"{suffix} {number}")
        path.write_bytes(damaged(files[rng.choice(KINDS[suffix])], rng) or b"\0")
        command = ["binarize", str(path), "-o", "out.png", "--model", str(ink_checkpoint), "--overwrite"]
        status, said = attempt([*command, "--memory", f"{limit}MB"], limit * 1_000_000)
        assert status in found, (number, status, said)
        found[status] += 1
        if status == 0:
            assert read(Path("out.png")).pixels.size, number
        else:
            assert f"{path}: " in said, (number, said)
    print(
        f"{suffix}: {found[0]} results, {found[1] + found[2]} errors, seeds '{suffix} {fuzzed(10)[0]}' and on"
    )
