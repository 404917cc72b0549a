"""Runs of `flowkit binarize` that are killed, lose a process, or are not to begin."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from killing import import_deadly, kill_in
from scans import report, scan, tree

PAGE_ENDS = [
    ("pathlib.Path.replace", False),  # a draft is complete
    ("pathlib.Path.replace", True),  # a page is there, and nothing says so
    ("flowkit.batch.report.Report.add", True),
    ("PIL.Image.Image.save", True),
]
BINDING_ENDS = [("flowkit.batch.pending.bind", False), ("flowkit.batch.pending.bind", True)]
ENDS = [
    *[(suffix, *end) for suffix in ("png", "tif", "pdf") for end in PAGE_ENDS],
    *[(suffix, *end) for suffix in ("tif", "pdf") for end in BINDING_ENDS],
    ("tif", "flowkit.images.multipage._bind_tiff", True),  # a document's draft is complete
    ("pdf", "flowkit.images.pdf.bind", True),
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
    from flowkit.batch.report import opened
    from flowkit.batch.storage import Storage

    Path("out").mkdir()
    with opened(Path("out"), Path("out"), Storage()):
        assert binarize("scans", "-o", "out") == 2
    assert capsys.readouterr().err == "flowkit: out: another run is writing to this folder\n"
    assert binarize("scans", "-o", "out") == 0


@pytest.mark.parametrize("out", ["/proc/out", "scans/1.png/out"])
def test_places_that_cannot_be_written_to(
    out: str, folder: Path, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(".")
    assert binarize("scans", "-o", out) == 2
    assert capsys.readouterr().err.startswith(f"flowkit: {Path(out).parent}: ")
    assert tree(".") == before


@pytest.mark.slow
def test_jobs_give_the_same_and_outlive_a_worker(
    folder: Path,
    binarize: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = "--samples", "2", "--precision", "float32"
    assert binarize("scans", "-o", "one", *options) == 0
    scan(3).save("scans/deadly.png")
    deadly = import_deadly(monkeypatch)
    assert binarize("scans", "-o", "two", *options, *deadly) == 1
    why = "scans/deadly.png: the process that worked on it was killed (SIGKILL, out of memory?)"
    assert capsys.readouterr().err.splitlines()[-2:] == ["flowkit: 1 of 7 pages failed:", f"  {why}"]
    assert tree("two") == tree("one")
