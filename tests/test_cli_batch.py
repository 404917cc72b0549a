"""`flowkit binarize` on many pages: trees and lists in, documents out, and runs that are broken off."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flowkit.cli import main
from flowkit.pages.reading import count_pages, read

PAGES = 6


def scan(seed: int, height: int = 24, width: int = 20) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height + seed, width, 3), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a tree of scans and a document."""
    monkeypatch.chdir(tmp_path)
    for i, place in enumerate(["1.png", "b/2.png", "b/c/3.tif", "b/c/.hidden.png", "b/notes.txt"]):
        path = Path("scans", place)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.touch()
        else:
            scan(i).save(path, dpi=(300, 300))
    document(Path("scans/book.tif"), PAGES - 3)
    return tmp_path


def document(path: Path, pages: int) -> None:
    first, *rest = [scan(10 + i) for i in range(pages)]
    first.save(path, save_all=True, append_images=rest, **{"dpi": (200, 200)})


def tree(folder: str | Path) -> dict[str, bytes]:
    """Every file but reports, and its content."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if not p.name.startswith("report.")}


def report(folder: str = "out") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(folder, "report.jsonl").read_text().splitlines()]


@pytest.fixture
def binarize(ink_checkpoint: Path) -> Callable[..., int]:
    return lambda *arguments: main(["binarize", *map(str, arguments), "--model", str(ink_checkpoint)])


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
    assert {"sha256", "model_sha256", "seed", "temperature", "samples", "decision", "seconds"} <= records[
        0
    ].keys()


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
    monkeypatch.setattr("flowkit.pages.pdf._MOST_OPEN", 2)
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
    assert "1 of 6 pages are in out and in no report.jsonl: they stay" in capsys.readouterr().err
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


def kill_in(monkeypatch: pytest.MonkeyPatch, where: str, call: int, after: bool) -> None:
    """SIGKILL this process at the n-th call of a function, before it or right after."""
    module, _, name = where.rpartition(".")
    owner: Any = sys.modules.get(module)
    if owner is None:  # a method
        module, _, cls = module.rpartition(".")
        owner = getattr(sys.modules[module], cls)
    inner, calls = getattr(owner, name), iter(range(1, 1000))

    def deadly(*args: Any, **options: Any) -> Any:
        mine = next(calls) == call
        if mine and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = inner(*args, **options)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    monkeypatch.setattr(owner, name, deadly)


PAGE_ENDS = [
    ("pathlib.Path.replace", False),  # a draft is complete
    ("pathlib.Path.replace", True),  # a page is there, and nothing says so
    ("flowkit.pages.batch.report.Report.add", True),
    ("PIL.Image.Image.save", True),
]
BINDING_ENDS = [("flowkit.pages.batch.run.bind", False), ("flowkit.pages.batch.run.bind", True)]
ENDS = [
    *[(suffix, *end) for suffix in ("png", "tif", "pdf") for end in PAGE_ENDS],
    *[(suffix, *end) for suffix in ("tif", "pdf") for end in BINDING_ENDS],
    ("tif", "flowkit.pages.binding._bind_tiff", True),  # a document's draft is complete
    ("pdf", "flowkit.pages.pdf.bind", True),
]


@pytest.mark.parametrize(("suffix", "where", "after"), ENDS)
def test_killed_and_run_again(
    suffix: str,
    where: str,
    after: bool,
    folder: Path,
    binarize: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("b/4.png", "b/5.png"):
        scan(len(name)).save(Path("scans", name))
    options = ["scans", "--format", suffix, "--samples", "2", "--probability"]
    assert binarize(*options, "whole_p", "-o", "whole") == 0
    child = os.fork()
    if not child:
        try:
            kill_in(monkeypatch, where, 1 if "bind" in where else 7, after)
            binarize(*options, "p", "-o", "out")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    done = {(r["output"], r["page"]) for r in report()}
    assert done
    assert binarize(*options, "p", "-o", "out") == 0
    assert tree("out") == tree("whole")
    assert tree("p") == tree("whole_p")
    again = [(r["output"], r["page"]) for r in report()]
    assert len(again) == len(set(again)) == len(report("whole"))  # none twice: what was done stayed


def test_two_runs_do_not_write_to_one_folder(
    folder: Path, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    from flowkit.pages.batch.report import opened

    Path("out").mkdir()
    with opened(Path("out")):
        assert binarize("scans", "-o", "out") == 2
    assert capsys.readouterr().err == "flowkit: out: another run is writing to this folder\n"
    assert binarize("scans", "-o", "out") == 0


@pytest.mark.parametrize("out", ["/proc/out", "scans/1.png/out", "none/out"])
def test_places_that_cannot_be_written_to(
    out: str, folder: Path, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(".")
    assert binarize("scans", "-o", out) == 2
    assert capsys.readouterr().err.startswith(f"flowkit: {Path(out).parent}: ")
    assert tree(".") == before


@pytest.mark.slow
def test_jobs_give_the_same_and_outlive_a_worker(
    folder: Path, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert binarize("scans", "-o", "one", "--samples", "2") == 0
    scan(3).save("scans/deadly.png")
    Path("deadly.py").write_text(
        "import os, signal\n"
        "from flowkit.pages.batch import work\n"
        "read = work.read\n"
        "def deadly(path, **options):\n"
        "    if path.name == 'deadly.png':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return read(path, **options)\n"
        "if work.read.__module__ != __name__ and os.environ.get('DEADLY') != str(os.getpid()):\n"
        "    work.read = deadly\n"
    )
    os.environ["DEADLY"] = str(os.getpid())
    try:
        options = ["scans", "-o", "two", "--samples", "2", "--jobs", "2", "--import", "deadly.py"]
        assert binarize(*options) == 1
    finally:
        del os.environ["DEADLY"]
    why = "scans/deadly.png: the process that worked on it was killed (SIGKILL, out of memory?)"
    assert capsys.readouterr().err.splitlines()[-2:] == ["flowkit: 1 of 7 pages failed:", f"  {why}"]
    assert tree("two") == tree("one")


def test_a_web_page_shows_the_worst_first(folder: Path, binarize: Callable[..., int]) -> None:
    Path("scans/<b>.png").write_text("no image")
    assert binarize("scans", "-o", "out", "--html", "--samples", "4", "--format", "tif") == 1
    text = Path("out/report.html").read_text()
    assert text.index("&lt;b&gt;.png") < text.index("data:image/jpeg;base64,")
    assert text.count("<img") == 2 * PAGES
    assert "http" not in text
    scores = sorted((r["review"] for r in report() if r["status"] == "done"), reverse=True)
    places = [text.index(f">{score:.4g}<") for score in scores]
    assert places == sorted(places)
    assert (
        binarize("scans", "-o", "out", "--html", "--samples", "4", "--format", "tif") == 1
    )  # nothing but the bad one
    assert Path("out/report.html").read_text().count("<img") == 2 * PAGES
