"""`flowkit binarize` from and to URLs: the same files and records as with folders of this machine."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFile
from places import Places
from scans import document, report, scan, tree

from flowkit.cli import main
from flowkit.images.reader import count_pages

BASES = ("memory://", "file://")


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("suffix", ["png", "tif", "pdf"])
def test_the_same_as_with_folders(
    suffix: str, base: str, place: Places, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    document(Path("scans/b/more.pdf"), 2)
    options = ["--format", suffix, "--samples", "2"]
    assert binarize("scans", "-o", "out", "--probability", "maps", *options) == 0
    printed = capsys.readouterr().out
    scans, out, maps = (place(base, name) for name in ("scans", "out", "maps"))
    scans.take("scans")
    scans.write("b/none.txt", b"none")
    assert binarize(scans.url, "-o", out.url, "--probability", maps.url, *options) == 0
    assert capsys.readouterr().out.replace(out.url, "out") == printed
    assert out.tree() == tree("out")
    assert maps.tree() == tree("maps")
    mine = ("input", "modified", "seconds", "finished")
    far, near = (
        [{k: v for k, v in r.items() if k not in mine} for r in rs] for rs in (out.report(), report())
    )
    for record in near:
        record["files"]["probability"]["path"] = f"{maps.url}/{record['files']['probability']['path'][8:]}"
    assert far == near
    assert [r["input"] for r in out.report()] == [f"{scans.url}/{r['input'][6:]}" for r in report()]
    assert binarize(scans.url, "-o", out.url, "--probability", maps.url, *options) == 0
    assert capsys.readouterr().out == ""
    if base == "file://":
        assert not Path("far/out/.flowkit-parts").exists()


@pytest.mark.slow
def test_a_store_that_speaks_s3(
    s3: str, place: Places, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--format", "tif", "--samples", "2", "--precision", "float32", "--html"]
    assert binarize("scans", "-o", "out", *options) == 0
    scans, out = place(s3, "scans"), place(s3, "a b/é+%")
    scans.take("scans")
    assert binarize(scans.url, "-o", out.url, *options, "--jobs", "2") == 0
    assert out.tree() == tree("out")
    out.write("1.tif", b"cut")
    capsys.readouterr()
    assert binarize(scans.url, "-o", out.url, *options) == 0
    assert [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()] == [f"{out.url}/1.tif"]
    assert out.tree() == tree("out")


def test_one_side_only(place: Places, binarize: Callable[..., int]) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    scans.take("scans")
    assert binarize("scans", "-o", "near") == 0
    assert binarize(scans.url, "-o", "from") == 0
    assert binarize("scans", "-o", out.url, "--save-samples", "samples", "--samples", "2") == 0
    assert list(out.tree()) == list(tree("near"))
    assert tree("from") == tree("near")
    assert len(tree("samples")) == 2 * len(tree("near"))
    assert report("from")[0]["input"] == f"{scans.url}/1.png"
    assert out.report()[0]["input"] == "scans/1.png"


def test_files_patterns_and_lists(
    place: Places, binarize: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    scans.take("scans")
    assert binarize(f"{scans.url}/1.png", f"{scans.url}/b/2.png", "-o", f"{out.url}/files") == 0
    assert binarize(f"{scans.url}/**/*.png", "-o", f"{out.url}/pattern") == 0
    listed = f"{scans.url}/b/2.png\nscans/1.png\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listed.encode())))
    assert binarize("-", "-o", f"{out.url}/list") == 0
    assert binarize(f"{scans.url}/b/2.png", "-o", f"{out.url}/2.tif") == 0
    assert binarize(f"{scans.url}/book.tif", "-o", f"{out.url}/book.pdf") == 0
    results = [name for name in out.tree() if not name.endswith("/report.jsonl") or ".parts" in name]
    assert results == [
        "2.tif", "book.pdf", "files/1.png", "files/2.png", "list/scans/1.png", "list/scans/b/2.png",
        "pattern/1.png", "pattern/b/2.png",
    ]  # fmt: skip
    Path("book.pdf").write_bytes(out.tree()["book.pdf"])
    assert count_pages(Path("book.pdf")) == 3


def test_what_is_done_is_left_out(
    place: Places, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    scans, out = place("file://", "scans"), place("file://", "out")
    scans.take("scans")

    def again(*arguments: str) -> list[str]:
        capsys.readouterr()
        assert binarize(scans.url, "-o", out.url, *arguments) == 0
        return [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()]

    everything = [f"{out.url}/{name}" for name in out.tree()]
    assert everything == []
    everything = again()
    assert everything == [f"{out.url}/{name}" for name in out.tree()]
    assert again() == []
    os.utime("far/scans/1.png", (0, 0))  # touched, but the same; and a time that says nothing
    assert again() == []
    scan(77).save("far/scans/1.png")
    assert again() == [f"{out.url}/1.png"]
    Path("far/out/b/2.png").unlink()
    assert again() == [f"{out.url}/b/2.png"]
    assert again("--overwrite") == everything
    assert again("--seed", "1", "--samples", "2") == everything


def test_files_of_others_stay(place: Places, binarize: Callable[..., int]) -> None:
    out = place("memory://", "out")
    out.write("1.png", b"by hand")
    for _ in range(2):
        assert binarize("scans", "-o", out.url) == 0
        assert out.tree()["1.png"] == b"by hand"
    assert binarize("scans", "-o", out.url, "--overwrite") == 0
    assert out.tree()["1.png"] != b"by hand"


def test_names_that_only_a_store_takes(
    place: Places, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    image = Path("scans/1.png").read_bytes()
    names = ["1.png", "b/../../../../2.png", "b//3.png", "c::4.png", "5" * 300 + ".png", "d e/é%20#.png"]
    for where in (scans, out):
        for name in names:
            where.fs.store[f"{where.root}/{name}"] = MemoryFile(where.fs, f"{where.root}/{name}", image)
    before = tree(tmp_path)
    assert binarize(scans.url, "-o", out.url, "--overwrite") == 1
    assert {name: data for name, data in tree(tmp_path).items() if not name.startswith("tmp/")} == before
    err = capsys.readouterr().err
    assert err.splitlines()[-4:] == [
        "flowkit: 3 of 5 pages failed:",
        f"  {scans.url}/{names[4]}: cannot be worked on (File name too long)",
        f"  {scans.url}/b//3.png: has a part that is empty, . or .., expected names",
        f"  {scans.url}/c::4.png: several URLs in one, expected one",
    ]
    assert [r["output"] for r in out.report()] == ["1.png", "d e/é%20#.png"]


def test_enlarged_pages(place: Places, doubling_checkpoint: Path) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    scans.take("scans")
    options = ["--model", str(doubling_checkpoint), "--format", "jpg"]
    assert main(["upscale", "scans", "-o", "near", *options]) == 0
    assert main(["upscale", scans.url, "-o", out.url, *options]) == 0
    assert out.tree() == tree("near")


@pytest.mark.slow
def test_on_ray(place: Places, binarize: Callable[..., int], ink_checkpoint: Path) -> None:
    pytest.importorskip("ray.data", reason="ray is not installed")
    scans, out = place("file://", "scans"), place("file://", "out")
    scans.take("scans")
    options = ["--format", "tif", "--samples", "2", "--precision", "float32"]
    assert binarize("scans", "-o", "whole", *options) == 0
    verb = [sys.executable, "-m", "flowkit", "binarize", scans.url, "-o", out.url, *options]
    done = subprocess.run(
        [*verb, "--model", str(ink_checkpoint), "--engine", "ray", "--jobs", "2"],
        env=os.environ | {"RAY_TMPDIR": "/tmp"},  # its sockets want short names
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert out.tree() == tree("whole")
