"""`flowkit binarize` on many pages: trees and lists in, documents out."""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scans import PAGES, document, report, scan, tree

from flowkit.images.reader import count_pages, read

TREE = ["1.png", "b/2.png", "b/c/3.png", "book-001.png", "book-002.png", "book-003.png"]


def test_a_folder_keeps_its_tree(folder: Path, binarize: Callable[..., int]) -> None:
    assert binarize("scans", "-o", "out") == 0
    assert list(tree("out")) == TREE
    records = report()
    assert [record["output"] for record in records] == TREE
    assert {record["status"] for record in records} == {"done"}
    assert [record["page"] for record in records] == [None] * 3 + [1, 2, 3]
    assert records[0]["input"] == "scans/1.png"
    assert records[0]["recipe"] == "tiny"
    assert records[0]["dpi"] == [300, 300]
    settings = records[0]["settings"]
    assert {"task", "model_sha256", "seed", "temperature", "samples", "decision"} <= settings.keys()
    data = Path("out/1.png").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert records[0]["files"] == {"result": {"path": "1.png", "bytes": len(data), "sha256": digest}}


def test_patterns_and_lists(
    folder: Path, binarize: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert binarize("scans/**/*.png", "-o", "pattern") == 0
    assert list(tree("pattern")) == ["1.png", "b/2.png"]
    for name, listed in {
        "lines": b"scans/b/2.png\nscans/1.png\n\n",
        "nul": b"./scans/b/2.png\0scans/b/../1.png\0",
        "absolute": b"\n".join(os.fsencode(folder / "scans" / place) for place in ("b/2.png", "1.png")),
    }.items():
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listed)))
        assert binarize("-", "-o", name) == 0
        above = str((folder / "scans").relative_to(folder.anchor)) if name == "absolute" else "scans"
        assert list(tree(name)) == [f"{above}/1.png", f"{above}/b/2.png"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    assert binarize("-", "-o", "none") == 2


def test_links_results_among_inputs_and_files_given_twice(folder: Path, binarize: Callable[..., int]) -> None:
    Path("scans/b/up").symlink_to(folder / "scans")
    Path("elsewhere").mkdir()
    scan(5).save("elsewhere/5.png")
    Path("scans/linked").symlink_to(folder / "elsewhere")
    for _ in range(2):  # the second time, results are there: they are no inputs
        assert binarize("scans", "scans/1.png", "-o", "scans/out", "--probability", "scans/p") == 0
        assert list(tree("scans/out")) == [*TREE, "linked/5.png"]
    assert len(report("scans/out")) == len(TREE) + 1


def test_names_of_all_kinds(
    folder: Path, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [
        "a b.png",
        "naïve 頁.png",
        "two\nlines.png",
        os.fsdecode(b"latin\xe9.png"),
        "[1] *.png",
        "no.suffix.png",
    ]
    Path("odd").mkdir()
    for i, name in enumerate(names):
        scan(i).save(Path("odd", name))
    scan(7).save("odd/plain", format="PNG")
    assert binarize("odd", "-o", "out", "--html") == 0
    assert sorted(tree("out")) == sorted(names)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(names)
    assert "out/two\\nlines.png: 20 x 26, no dpi" in "\n".join(printed)
    assert binarize("odd/plain", "odd/[1] *.png", "-o", "other") == 0
    assert sorted(tree("other")) == ["[1] *.png", "plain.png"]


def test_one_stem_twice_is_told_before_the_work(
    folder: Path, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    scan(0).save("scans/b/2.jpg")
    assert binarize("scans", "-o", "out") == 2
    assert capsys.readouterr().err == (
        "flowkit: scans/b/2.jpg and scans/b/2.png would both be written to out/b/2.png: "
        "name one of them, or take them to different folders\n"
    )
    assert not Path("out").exists()


@pytest.mark.parametrize("suffix", ["tif", "pdf"])
def test_documents_in_and_out(suffix: str, folder: Path, binarize: Callable[..., int]) -> None:
    assert binarize("scans", "-o", "single") == 0
    assert binarize("scans", "-o", "out", "--format", suffix, "--probability", "maps") == 0
    assert list(tree("out")) == [f"{name}.{suffix}" for name in ("1", "b/2", "b/c/3", "book")]
    assert list(tree("maps")) == TREE
    assert count_pages(Path(f"out/book.{suffix}")) == 3
    assert binarize("scans/book.tif", "-o", f"book.{suffix}", "--samples", "16") == 0
    for page in range(3):
        bound = read(f"out/book.{suffix}", page=page)
        assert bound.dpi == (200, 200)
        assert np.array_equal(bound.pixels, read(f"book.{suffix}", page=page).pixels)
        probability = read(f"maps/book-00{page + 1}.png").pixels[..., 0]
        assert np.array_equal(bound.pixels[..., 0] < 128, probability >= 128)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_document_of_more_pages_than_files_may_be_open(
    folder: Path, binarize: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowkit.images.pdf._MOST_OPEN", 2)
    document(Path("long.tif"), 5)
    assert binarize("long.tif", "-o", "long.pdf") == 0
    assert binarize("long.tif", "-o", "long.png") == 0
    for page in range(5):
        assert read("long.pdf", page=page).size == read(f"long-00{page + 1}.png").size


def test_what_is_done_is_left_out(
    folder: Path, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def again(*arguments: str) -> list[str]:
        capsys.readouterr()
        assert binarize("scans", "-o", "out", *arguments) == 0
        return [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]

    everything = [f"out/{name}" for name in TREE]
    assert again() == everything
    assert again() == []
    os.utime("scans/1.png", (0, 0))  # touched, but the same
    assert again() == []
    scan(77).save("scans/1.png")
    assert again() == ["out/1.png"]
    Path("out/b/2.png").unlink()
    assert again() == ["out/b/2.png"]
    assert again("--overwrite") == everything
    assert again("--samples", "2") == everything
    assert again("--samples", "2", "--seed", "1") == everything
    assert again("--samples", "2", "--seed", "1") == []
    assert again("--samples", "2", "--seed", "1", "--uncertainty", "heat") == everything
    Path("heat/b/2.png").unlink()
    assert again("--samples", "2", "--seed", "1", "--uncertainty", "heat") == ["out/b/2.png"]
    with Path("out/report.jsonl").open("a") as file:
        file.write('{"output": "1.pn')  # as after a power failure
    assert again("--samples", "2", "--seed", "1") == []
    assert again("--samples", "3", "--seed", "1") == everything
    assert again("--samples", "3", "--seed", "1") == []


def test_files_of_others_stay(
    folder: Path, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out/1.png").write_bytes(b"by hand")
    for _ in range(2):
        assert binarize("scans", "-o", "out") == 0
        assert Path("out/1.png").read_bytes() == b"by hand"
    assert "1 of 6 pages are in out, but not in its report.jsonl: they are kept" in capsys.readouterr().err
    assert binarize("scans", "-o", "out", "--overwrite") == 0
    assert read("out/1.png").size == (24, 20)


def test_a_bad_page_does_not_stop_the_rest(
    folder: Path, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("scans/b/2.png").write_bytes(Path("scans/b/2.png").read_bytes()[:500])
    Path("scans/book.tif").write_bytes(Path("scans/book.tif").read_bytes()[:-900])
    assert binarize("scans", "-o", "out", "--format", "tif", "--html") == 1
    parts = [f".flowkit-parts/book.tif/00{page}.tif" for page in (1, 2)]
    assert list(tree("out")) == [*parts, "1.tif", "b/c/3.tif"]
    lines = capsys.readouterr().err.splitlines()
    assert [line[:40] for line in lines if "damaged" in line[:60]]
    assert lines[-4] == "flowkit: 2 of 6 pages failed:"
    assert lines[-3].startswith("  scans/b/2.png: the image is damaged or cut short")
    assert lines[-1] == "flowkit: out/book.tif: not written, because pages of it failed"
    assert [(r["input"], r["status"]) for r in report() if r["status"] == "failed"] == [
        ("scans/b/2.png", "failed"), ("scans/book.tif", "failed"),
    ]  # fmt: skip
    scan(1).save("scans/b/2.png")
    document(Path("scans/book.tif"), 3)
    assert binarize("scans", "-o", "out", "--format", "tif") == 0
    assert list(tree("out")) == ["1.tif", "b/2.tif", "b/c/3.tif", "book.tif"]
    # in one file there is nothing to come back to
    Path("scans/book.tif").write_bytes(Path("scans/book.tif").read_bytes()[:-900])
    assert binarize("scans/book.tif", "-o", "book.tif") == 1
    assert not list(folder.glob("*book*"))


def test_a_page_of_errors_that_nobody_foresaw(
    folder: Path,
    binarize: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(path: Path, *more: object) -> None:
        raise {"1.png": MemoryError(), "2.png": RuntimeError("two\nlines")}.get(path.name, ValueError("odd"))

    monkeypatch.setattr("flowkit.pages.page.write_ink", fail)
    assert binarize("scans", "-o", "out") == 1
    assert tree("out") == {}
    err = capsys.readouterr().err
    assert "  scans/1.png: does not fit into memory\n" in err
    assert "  scans/b/2.png: RuntimeError: two\\nlines\n" in err


def test_a_web_page_shows_the_worst_first(folder: Path, binarize: Callable[..., int]) -> None:
    Path("scans/<b>.png").write_text("no image")
    options = ["--html", "--samples", "4", "--format", "tif", "--uncertainty", "heat"]
    assert binarize("scans", "-o", "out", *options) == 1
    text = Path("out/report.html").read_text()
    assert text.index("&lt;b&gt;.png") < text.index("data:image/jpeg;base64,")
    assert text.count("<img") == 3 * PAGES  # input, result, map
    assert text.count('<a href="../heat/book-002.png">uncertainty</a>') == 1
    assert "http" not in text
    assert "<script" not in text
    assert '<meta name="viewport"' in text
    for said in ("failed: 1", "recipe tiny", "task binarize", "samples 4", "minutes", "how much of the ink"):
        assert said in text
    enlarged = set(re.findall(r'id="(page-\d+-\d+)"', text))
    assert enlarged == set(re.findall(r'class="picture" id="[^"]*" href="#([^"]*)"', text))
    assert len(enlarged) == 3 * PAGES
    scores = sorted((r["review"] for r in report() if r["status"] == "done"), reverse=True)
    places = [text.index(f">{score:.4g}<") for score in scores]
    assert places == sorted(places)
    assert binarize("scans", "-o", "out", *options) == 1  # nothing but the bad one
    assert Path("out/report.html").read_text().count("<img") == 3 * PAGES


def test_hostile_names_are_no_code_in_the_web_page(folder: Path, binarize: Callable[..., int]) -> None:
    names = [
        "javascript:alert(1).png",
        "'onload='x.png",
        '"><img src=x>.png',
        "{{ 7 * 7 }}.png",
        "<script>.png",
    ]
    Path("odd").mkdir()
    for index, name in enumerate(names):
        scan(index).save(Path("odd", name))
    assert binarize("odd", "-o", "out", "--html") == 0
    text = Path("out/report.html").read_text()
    assert "<script" not in text
    assert "<img src=x" not in text
    assert ">49" not in text
    assert text.count("<img") == 2 * len(names)
    links = re.findall(r'href="([^"#]+)"', text)
    assert len(links) == 2 * len(names)  # the page and its picture
    assert not any(":" in link or "'" in link or "<" in link for link in links)
