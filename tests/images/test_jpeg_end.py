"""JPEG files without their end: the page if nothing else is missing, otherwise an error."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flowkit.errors import ImageError
from flowkit.images.jpeg_end import NOTE
from flowkit.images.reader import read

KINDS: dict[str, dict[str, Any]] = {
    "grey": {},
    "colour": {"quality": 90},
    "halved colours": {"subsampling": 2},
    "restarts": {"restart_marker_blocks": 1},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "progressive, halved colours": {"progressive": True, "subsampling": 2},
}


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    values = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(values).convert(mode).save(data, "JPEG", dpi=(200, 200), **options)
    return data.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_end_may_be_missing(kind: str, tmp_path: Path) -> None:
    data, path = jpeg("L" if kind == "grey" else "RGB", **KINDS[kind]), tmp_path / "page.jpg"
    path.write_bytes(data)
    whole = read(path)
    assert whole.notes == ()
    for missing in (1, 2):
        path.write_bytes(data[:-missing])
        picture = read(path)
        assert np.array_equal(picture.pixels, whole.pixels)
        assert picture.dpi == (200, 200)
        assert picture.notes == (NOTE,)
    path.write_bytes(data[:-2] + bytes(30))  # a file on a disk that was full
    assert np.array_equal(read(path).pixels, whole.pixels)
    for missing in (4, 5, 8, 20, 200, len(data) // 2):
        path.write_bytes(data[:-missing])
        with pytest.raises(ImageError, match=r"page\.jpg: the image is damaged or cut short"):
            read(path)


def test_whole_scans_may_not_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "page.jpg"
    data = jpeg(progressive=True)
    scans = [place for place in range(len(data) - 1) if data[place : place + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for place in scans[1:]:
        path.write_bytes(data[:place])  # all scans before it are complete
        with pytest.raises(ImageError, match=r"page\.jpg: the image is damaged or cut short"):
            read(path)


def test_the_orientation_and_the_profile_are_applied_all_the_same(
    tmp_path: Path, linear_profile: bytes
) -> None:
    path, exif = tmp_path / "page.jpg", Image.Exif()
    exif[0x0112] = 6
    data = jpeg(exif=exif, icc_profile=linear_profile)
    path.write_bytes(data)
    whole = read(path)
    path.write_bytes(data[:-2])
    assert whole.size == (53, 37)
    assert np.array_equal(read(path).pixels, whole.pixels)
