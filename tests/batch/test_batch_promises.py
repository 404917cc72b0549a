"""What a run promises: what counts as done is what was written, and nothing is lost without a word."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from killing import start_badly, start_with_an_error
from scans import PAGES, document, report, scan, tree

from flowkit.batch import processes
from flowkit.batch.page_work import PageWork
from flowkit.batch.plan import Sheet
from flowkit.errors import FlowkitError

Again = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture
def again(folder: Path, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Again:
    """Runs over `scans` into `out`; the results that were made, and what was said beside."""

    def run(*arguments: str, status: int = 0) -> tuple[list[str], list[str]]:
        capsys.readouterr()
        assert binarize("scans", "-o", "out", *arguments) == status
        out, err = capsys.readouterr()
        return [line.split(": ")[0].removeprefix("out/") for line in out.splitlines()], err.splitlines()

    return run


def test_a_result_that_is_not_as_it_was_written_is_done_again(again: Again) -> None:
    maps = ("--probability", "maps", "--samples", "2")
    made, _ = again(*maps)
    whole, whole_maps = tree("out"), tree("maps")
    for name in ("out/1.png", "out/book-002.png", "maps/b/2.png"):
        path = Path(name)
        data = path.read_bytes()
        path.write_bytes(b"")  # as after a power failure, of a file system that loses data
        assert again(*maps)[0] == [name.partition("/")[2]]
        path.write_bytes(data[:-1])
        assert again(*maps)[0] == [name.partition("/")[2]]
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert again(*maps)[0] == []  # its size is right
        assert again(*maps, "--verify")[0] == [name.partition("/")[2]]
    assert again(*maps, "--verify")[0] == []
    assert (tree("out"), tree("maps")) == (whole, whole_maps)
    assert len(made) == PAGES


def test_a_document_that_is_not_as_it_was_written_is_done_again(again: Again) -> None:
    again("--format", "tif")
    whole = tree("out")
    book = Path("out/book.tif")
    for options, data in (
        ([], b""),
        ([], book.read_bytes()[:-1]),
        (["--verify"], bytes([book.read_bytes()[0] ^ 1]) + book.read_bytes()[1:]),
    ):
        book.write_bytes(data)
        assert again("--format", "tif", *options)[0] == ["book.tif"] * 3
        assert tree("out") == whole
    Path("out/.flowkit-parts/book.tif").mkdir(parents=True)  # of a run that was killed as it removed them
    assert again("--format", "tif")[0] == []
    assert tree("out") == whole
    assert not Path("out/.flowkit-parts").exists()


def test_pages_that_wait_are_not_bound_if_they_are_damaged(again: Again) -> None:
    pages = Path("scans/book.tif").read_bytes()
    again("--format", "tif")
    whole = tree("out")
    Path("out/book.tif").unlink()
    Path("scans/book.tif").write_bytes(pages[:-900])
    again("--format", "tif", status=1)
    Path("scans/book.tif").write_bytes(pages)
    Path("out/.flowkit-parts/book.tif/002.tif").write_bytes(b"")
    again("--format", "tif")
    assert tree("out") == whole


NOT_OURS = [
    '{"output": []}',
    '{"output": "1.png", "page": {}}',
    "[" * 100_000,
    "{" * 100_000,
    "null",
    "1e999",
    "\0" * 40,
    "\x1b[2J",
    '{"version": 1}',
]


def test_lines_that_are_none_of_flowkits_are_skipped_with_a_note(again: Again) -> None:
    again("--html")
    path = Path("out/report.jsonl")
    lines = path.read_text().splitlines()
    good = json.loads(lines[0])
    wrong = [
        *NOT_OURS,
        *(
            json.dumps({**good, **change})
            for change in (
                {"version": 3},
                {"more": 1},
                {"page": 0},
                {"page": "1"},
                {"page": True},
                {"width": -5},
                {"review": "high"},
                {"status": "fine"},
                {"output": 7},
                {"notes": "one"},
                {"dpi": [300]},
                {"settings": [["seed", 0]]},
                {"files": {"result": "1.png"}},
                {"files": {"result": {"path": "1.png", "bytes": None, "sha256": ""}}},
                {"files": []},
                {"worst_tiles": [{"score": 1.0, "box": [0, 0, 1]}]},
                {"worst_tiles": {}},
                {"counts": []},
                {"counts": {"ink": {"median": 0.1}}},
            )
        ),
        json.dumps({**good, "ink": float("nan")}),
        json.dumps({**good, "ink": float("inf")}),
        json.dumps({key: value for key, value in good.items() if key != "input"}),
    ]
    path.write_text("\n".join([wrong[0], *lines, *wrong[1:]]) + "\n\n")
    made, said = again("--html")
    assert made == []
    assert said[0] == (
        "flowkit: out/report.jsonl: line 1 was not written by flowkit, and is skipped, "
        f"and so are {len(wrong) - 1} more"
    )
    path.write_bytes(path.read_bytes() + b"\xff\xfe\n" + lines[0][:200].encode())  # cut short
    assert again("--html")[0] == []
    for index, line in enumerate(wrong):  # each by itself
        path.write_text("\n".join([*lines, line]) + "\n")
        made, said = again("--samples", "16")
        assert (made, len(said)) == ([], 2), index
        assert said[0].endswith(f"line {PAGES + 1} was not written by flowkit, and is skipped"), index


@pytest.mark.parametrize("name", ["report.jsonl", "report.html", "1.png", "book.tif", "maps/1.png"])
def test_links_in_the_folder_for_results_are_not_followed(name: str, folder: Path, again: Again) -> None:
    Path("mine.txt").write_text("of the user's own")
    link = Path("out", name)
    link.parent.mkdir(parents=True)
    link.symlink_to(folder / "mine.txt")
    options = ["--probability", "out/maps", "--samples", "2", "--html", "--overwrite"]
    if name == "book.tif":
        options += ["--format", "tif"]
    why = f"out/{name}: is a symbolic link, which is not followed; expected a file or nothing"
    if name.startswith("report"):
        made, said = again(*options, status=2)
        assert (made, said) == ([], [f"flowkit: {why}"])
    else:
        made, said = again(*options, status=1)
        pages = 3 if name == "book.tif" else 1
        assert len(made) == PAGES - pages
        assert said.count(f"  {why}") == pages
    assert Path("mine.txt").read_text() == "of the user's own"
    assert link.is_symlink()


def test_a_report_that_is_no_file_is_refused(again: Again) -> None:
    Path("out").mkdir()
    os.mkfifo("out/report.jsonl")
    made, said = again(status=2)
    assert (made, said) == ([], ["flowkit: out/report.jsonl: is not a regular file"])


def test_pages_of_a_document_that_shrank_are_named(again: Again) -> None:
    document(Path("scans/book.tif"), 5)
    again()
    document(Path("scans/book.tif"), 3)
    made, said = again()
    assert made == ["book-001.png", "book-002.png", "book-003.png"]
    assert said[0] == (
        "flowkit: scans/book.tif: has 3 pages now; remaining results of an earlier run: "
        "book-004.png, book-005.png"
    )
    assert Path("out/book-004.png").exists()
    assert [(r["output"], r["page"]) for r in report() if r["status"] == "gone"] == [
        ("book-004.png", 4), ("book-005.png", 5),
    ]  # fmt: skip
    assert again() == ([], ["flowkit: 6 of 6 pages are done already (--overwrite does them again)"])
    document(Path("scans/book.tif"), 1)
    made, said = again()
    assert made == ["book.png"]
    assert said[0].endswith("an earlier run: book-001.png, book-002.png, book-003.png")
    document(Path("scans/book.tif"), 2)
    made, said = again()
    assert made == ["book-001.png", "book-002.png"]
    assert said[0].endswith("book.tif: has 2 pages now; remaining results of an earlier run: book.png")


def test_pages_that_shrank_are_not_bound(again: Again) -> None:
    document(Path("scans/book.tif"), 9)
    again("--format", "tif")
    document(Path("scans/book.tif"), 3)
    made, said = again("--format", "tif")
    assert made == ["book.tif"] * 3
    assert said[0] == (
        "flowkit: scans/book.tif: has 3 pages now; remaining results of an earlier run: "
        "page 4, page 5, page 6, page 7, page 8 and 1 more"
    )
    again("--overwrite")
    assert tree("out")["book-001.png"]
    Path("new").mkdir()
    whole = tree("out")["book.tif"]
    again("--format", "tif", "--overwrite")
    assert tree("out")["book.tif"] == whole


def test_control_characters_of_names_are_shown_not_sent(again: Again) -> None:
    name = "a\x1b]0;title\x07\u202egnp.\u2066b\x9b2J.png"
    scan(1).save(Path("scans", name))
    Path("scans/\x1b[31mred.png").write_text("no image")
    made, said = again("--html", status=1)
    assert any("a\\x1b]0;title\\x07\\u202egnp.\\u2066b\\x9b2J.png" in line for line in made)
    html = Path("out/report.html").read_text()
    for text in (*made, *said, html.replace("\n", "")):
        assert text.isprintable()
    assert "\\x1b[31mred.png" in html


@pytest.mark.usefixtures("forked")
def test_a_process_that_dies_while_it_starts_costs_a_page_and_not_the_run(tmp_path: Path) -> None:
    sheets = [Sheet(Path(f"{number}.png"), None, Path("out")) for number in range(3)]
    records = list(processes.work_through(sheets, start_badly(tmp_path / "starts", deaths=4), jobs=1))
    assert [(sheet.name, said["status"]) for sheet, said in records] == [
        ("0.png", "failed"), ("1.png", "done"), ("2.png", "done"),
    ]  # fmt: skip
    why = "0.png: the process to work on it was killed (SIGKILL, out of memory?) while it started, 3 times"
    assert records[0][1]["error"] == why
    assert (tmp_path / "starts").stat().st_size == 5


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(
    ("begin", "how"),
    [
        (start_badly, "was killed (SIGKILL, out of memory?)"),
        (start_with_an_error, "failed (MemoryError: none left)"),
    ],
)
def test_processes_that_never_start_end_the_run(
    begin: Callable[[Path, int], Callable[[], PageWork]],
    how: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(processes, "STARTS", 1)
    sheets = [Sheet(Path(f"{number}.png"), None, Path("out")) for number in range(100)]
    work, records = processes.work_through(sheets, begin(tmp_path / "starts", 1000), jobs=1), []
    why = rf"no process can be started .*: the last {re.escape(how)} while it started, 1 times; "
    with pytest.raises(FlowkitError, match=why):
        records.extend((sheet.name, said["status"]) for sheet, said in work)
    assert records == [("0.png", "failed")]
    assert (tmp_path / "starts").stat().st_size <= 3  # one may have begun since
    assert capfd.readouterr().err == ""
