"""URLs that cannot be used, stores that fail, pages that do."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from places import Places

BASES = ("memory://", "file://")


@pytest.mark.parametrize("base", BASES)
def test_a_bad_page_does_not_stop_the_rest(
    base: str, place: Places, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    scans, out = place(base, "scans"), place(base, "out")
    scans.take("scans")
    scans.write("b/2.png", Path("scans/b/2.png").read_bytes()[:500])
    scans.write("none.png", b"")
    scans.write("book.tif", Path("scans/book.tif").read_bytes()[:-900])
    options = [scans.url, "-o", out.url, "--format", "tif"]
    assert binarize(*options, "--html") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-5] == "flowkit: 3 of 7 pages failed:"
    assert lines[-4].startswith(f"  {scans.url}/b/2.png: the image is damaged or cut short")
    assert lines[-3].startswith(f"  {scans.url}/book.tif: page 3: the image is damaged or cut short")
    assert lines[-2] == f"  {scans.url}/none.png: the file is empty"
    assert lines[-1] == f"flowkit: {out.url}/book.tif: not written, because pages of it failed"
    assert {r["input"] for r in out.report() if r["status"] == "failed"} == {
        f"{scans.url}/{name}" for name in ("b/2.png", "book.tif", "none.png")
    }
    parts = [f".flowkit-parts/book.tif/00{page}.tif" for page in (1, 2)]
    assert list(out.tree()) == [*parts, "1.tif", "b/c/3.tif"]
    page = out.fs.cat_file(f"{out.root}/report.html").decode()
    assert page.count("<img") == 2 * 2 + 2  # pages of no document
    assert f"{scans.url}/none.png: the file is empty" in page
    scans.take("scans")
    scans.fs.rm(f"{scans.root}/none.png")
    assert binarize(*options) == 0
    assert list(out.tree()) == ["1.tif", "b/2.tif", "b/c/3.tif", "book.tif"]
    scans.write("book.tif", Path("scans/book.tif").read_bytes()[:-900])
    assert binarize(f"{scans.url}/book.tif", "-o", f"{out.url}/again.tif") == 1
    assert list(out.tree()) == ["1.tif", "b/2.tif", "b/c/3.tif", "book.tif"]
    assert binarize(f"{scans.url}/none.png", "-o", f"{out.url}/again.tif") == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"flowkit: {scans.url}/none.png: no such file"


def test_an_input_is_not_overwritten(
    place: Places, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    scans = place("file://", "scans")
    scans.write("1.png", Path("scans/1.png").read_bytes())
    before = scans.tree()
    for source, out in ((scans.url, "far/scans"), ("far/scans/1.png", scans.url), (scans.url, scans.url)):
        assert binarize(source, "-o", out) == 2
    assert "far/scans/1.png: is an input too, and would be overwritten" in capsys.readouterr().err
    assert scans.tree() == before


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("memory://none", "memory://out", "memory://none: no such file"),
        ("memory://none/*.png", "memory://out", "memory://none/*.png: no such file, and no image that it"),
        ("scans", "memori://out", 'memori://out: unknown protocol "memori"; did you mean "memory"?'),
        ("s4://a/b", "out", 's4://a/b: unknown protocol "s4"; known: abfs'),
        ("scans", "file:///proc/none/out", "file:///proc/none/out: cannot be written ("),
        ("scans", "file://out", "file://out: expected file:///, and a path from the root"),
        ("sftp://me:secret@host/a", "out", "sftp://...@host: holds a password"),
        ("memory://a/../b", "out", "memory://a/../b: has a part that is empty, . or .."),
        (
            "zip://*.png::memory://a.zip",
            "out",
            "zip://*.png::memory://a.zip: several URLs in one, expected one",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(
    source: str,
    out: str,
    message: str,
    place: Places,
    binarize: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert binarize(source, "-o", out) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"flowkit: {message}")
    assert "secret" not in line
    assert not Path("out").exists()


def test_what_is_not_installed_is_named(
    place: Places,
    binarize: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def lacking(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", lacking)
    assert binarize("s3://archive/scans", "-o", "out") == 2
    assert capsys.readouterr().err == "flowkit: s3://archive/scans: Install s3fs to access S3\n"
    found = importlib.import_module

    def missing(name: str) -> object:
        if name == "fsspec":
            raise ImportError(name)
        return found(name)

    monkeypatch.setattr("importlib.import_module", missing)
    assert binarize("s3://archive/scans", "-o", "out") == 2
    assert capsys.readouterr().err == (
        "flowkit: s3://archive/scans: needs fsspec: pip install 'flowkit-nf[remote]'\n"
    )
    assert binarize("scans", "-o", "out") == 0


def test_a_store_that_fails_in_the_middle(
    place: Places,
    binarize: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    scans.take("scans")
    put, get = type(out.fs).put_file, type(out.fs).get_file

    def putting(self: Any, path: str, to: str) -> None:
        if "b/c/" in to:
            put(self, os.devnull, to)
            raise PermissionError("no\nkey")
        put(self, path, to)

    def getting(self: Any, place: str, to: str) -> None:
        if "b/2" in place:
            raise TimeoutError
        get(self, place, to)

    monkeypatch.setattr(type(out.fs), "put_file", putting)
    monkeypatch.setattr(type(out.fs), "get_file", getting)
    assert binarize(scans.url, "-o", out.url) == 1
    err = capsys.readouterr().err
    assert f"  {scans.url}/b/2.png: cannot be read (TimeoutError)\n" in err
    assert f"  {out.url}/b/c/3.png: cannot be written (no key)\n" in err
    assert list(out.tree()) == ["1.png", "book-001.png", "book-002.png", "book-003.png"]
    monkeypatch.undo()
