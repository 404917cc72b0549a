from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flowkit.errors import OutputError
from flowkit.images.reader import read
from flowkit.images.writer import check_output, write_ink, write_picture

INK = np.zeros((53, 37), bool)
INK[4:13, 5:21] = True


@pytest.mark.parametrize("suffix", ["png", "tif", "TIFF"])
@pytest.mark.parametrize("dpi", [None, (300.0, 300.0), (200.0, 100.0)])
def test_ink_is_black_in_one_bit(suffix: str, dpi: tuple[float, float] | None, tmp_path: Path) -> None:
    path = tmp_path / f"page.{suffix}"
    write_ink(path, INK, dpi)
    with Image.open(path) as image:
        assert image.mode == "1"
        assert np.array_equal(np.asarray(image), ~INK)
        if suffix != "png":
            assert image.info["compression"] == "group4"
        found = read(path).dpi
    assert found == dpi
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey(suffix: str, tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(8, 32)
    write_picture(tmp_path / f"map.{suffix}", values, (300, 300))
    with Image.open(tmp_path / f"map.{suffix}") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), values)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.02)


def test_places_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for name, message in {
        "page.jpg": r'page\.jpg: "\.jpg", expected \.png, \.tif, \.tiff',
        "page": "no suffix, expected",
        "none/page.png": "none: no such folder",
        "file/page.png": "file: is not a folder",
        "folder.png": "is a folder, expected a file name",
    }.items():
        with pytest.raises(OutputError, match=message):
            check_output(tmp_path / name)
        with pytest.raises(OutputError, match=message):
            write_ink(tmp_path / name, INK)
    with pytest.raises(OutputError, match="cannot be written to"):
        check_output("/proc/page.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.png"]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_full_disk_leaves_what_was_there(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"page.{suffix}"
    path.write_bytes(b"before")

    def full(self: Image.Image, file: Any, **options: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OutputError, match=r"page\.\w+: cannot be written \(No space left on device\)"):
        write_ink(path, INK)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(b"before")

    def stopped(self: Image.Image, file: Any, **options: Any) -> None:
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_ink(path, INK)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link_and_others_may_read(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "page.png"
    link.symlink_to(tmp_path / "real" / "target.png")
    write_ink(link, INK)
    assert link.is_symlink()
    plain = tmp_path / "plain"
    plain.touch()
    written = stat.S_IMODE((tmp_path / "real" / "target.png").stat().st_mode)
    assert written == stat.S_IMODE(plain.stat().st_mode)
