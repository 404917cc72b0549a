"""What files, folders, patterns and lists stand for."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from flowkit.batch.inputs import find, is_many


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "s/1.PNG",
        "s/b/2.jpeg",
        "s/b/x.png/3.pdf",
        "s/.cache/4.png",
        "s/b/._5.png",
        "s/b/6.txt",
        "7",
    ):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def places(*arguments: str, stdin: bytes = b"", leave_out: tuple[Path, ...] = ()) -> dict[str, str]:
    found, problems = find(arguments, stdin=lambda: stdin, leave_out=leave_out)
    assert problems == []
    return {str(one.source): str(one.place) for one in found}


def test_folders_files_and_patterns(here: Path) -> None:
    tree = {"s/1.PNG": "1.PNG", "s/b/2.jpeg": "b/2.jpeg", "s/b/x.png/3.pdf": "b/x.png/3.pdf"}
    assert places("s") == places("s/") == places("s/**") == tree
    assert places("s/b/2.jpeg", "7") == {"s/b/2.jpeg": "2.jpeg", "7": "7"}
    assert places("s/*/*.jp*g") == {"s/b/2.jpeg": "b/2.jpeg"}
    assert places("s/[b]") == {"s/b/2.jpeg": "b/2.jpeg", "s/b/x.png/3.pdf": "b/x.png/3.pdf"}
    assert places(f"{here}/s/b/*") == {
        f"{here}/s/b/2.jpeg": "2.jpeg",
        f"{here}/s/b/x.png/3.pdf": "x.png/3.pdf",
    }
    assert places("s", "./s/1.PNG", f"{here}/s/b") == tree  # each once
    assert places("s", leave_out=(Path("s/b"),)) == {"s/1.PNG": "1.PNG"}


def test_lists(here: Path) -> None:
    kept = {"s/1.PNG": "s/1.PNG", "../7": "7", "s/b/x.png/3.pdf": "s/b/x.png/3.pdf"}
    assert places("-", stdin=b"s/1.PNG\n../7\r\ns/b/x.png") == kept
    assert places("-", stdin=b"a\nb\0") == {"a\nb": "a\nb"}
    assert places("-", stdin=f"{here}/7\n".encode()) == {f"{here}/7": f"{here}/7"[1:]}


def test_what_stands_for_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("empty").mkdir()
    long = "n" * 300 + ".png"
    found, problems = find(["empty", "*.gif", "-", "s", long], stdin=lambda: b"", leave_out=[Path("s")])
    assert [str(one.source) for one in found] == [long]
    assert problems == [
        "empty: no images in this folder",
        "*.gif: no such file, and no image that it matches as a pattern",
        "-: no paths on standard input",
        "s: results go into this folder, expected another one for input",
    ]

    def closed(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("os.scandir", closed)
    assert find(["s"], stdin=bytes)[1] == ["s: the folder cannot be read (Permission denied)"]


def test_one_or_many(here: Path) -> None:
    assert [is_many([argument]) for argument in ("7", "none", "s", "-", "s/*")] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert is_many(["7", "7"])
    Path("a[1].png").touch()
    assert not is_many(["a[1].png"])


def test_links_are_followed_but_not_in_circles(here: Path) -> None:
    Path("s/up").symlink_to(here / "s")
    Path("s/b/over").symlink_to(here / "other")
    Path("other").mkdir()
    Path("other/8.png").touch()
    Path("other/back").symlink_to(here / "s")
    Path("s/self.png").symlink_to(here / "s" / "self.png")
    found = places("s")
    assert found["s/b/over/8.png"] == "b/over/8.png"
    assert found["s/self.png"] == "self.png"  # which fails when it is read
    assert len(found) == 5
