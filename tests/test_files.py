"""Files that are written whole, and are on the disk before they have their name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from flowkit.errors import OutputError
from flowkit.files import check_no_link, replacing


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What happens to which inode, in order."""
    happened: list[tuple[str, int]] = []
    sync, replace = os.fsync, Path.replace

    def syncing(file: int) -> None:
        happened.append(("sync", os.fstat(file).st_ino))
        sync(file)

    def replacing(self: Path, target: Path) -> Path:
        happened.append(("rename", self.stat().st_ino))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", replacing)
    return happened


def test_a_file_is_on_the_disk_before_its_name_and_the_name_after(
    tmp_path: Path, moments: list[tuple[str, int]]
) -> None:
    with replacing(tmp_path / "1.txt") as draft:
        draft.write_text("whole")
        assert moments == []
    file, folder = (path.stat().st_ino for path in (tmp_path / "1.txt", tmp_path))
    assert moments == [("sync", file), ("rename", file), ("sync", folder)]


def test_a_disk_that_fails_is_told_and_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "1.txt"
    path.write_text("before")
    for code, fails in ((errno.EIO, True), (errno.ENOSPC, True), (errno.EINVAL, False)):

        def failing(file: int, code: int = code) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fsync", failing)
        if fails:
            with pytest.raises(OutputError, match="1.txt: cannot be written"), replacing(path) as draft:
                draft.write_text("after")
            assert path.read_text() == "before"
        else:  # a file system that has no such thing
            with replacing(path) as draft:
                draft.write_text("after")
            assert path.read_text() == "after"
    assert [one.name for one in tmp_path.iterdir()] == ["1.txt"]


def test_links_are_refused_by_name(tmp_path: Path) -> None:
    check_no_link(tmp_path / "none")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="/link: is a symbolic link"):
        check_no_link(tmp_path / "link")
