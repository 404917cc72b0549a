"""`flowkit.batch.run`: what the command line does, from Python."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from scans import PAGES, document, report, tree

from flowkit import batch
from flowkit.batch import BatchJob, Binarize, Record, Storage, Upscale, run
from flowkit.errors import FlowkitError, ImageError, OutputError
from flowkit.pages import binarize as binarize_page
from flowkit.pages import upscale as upscale_page
from flowkit.pages.options import SamplingOptions

PACKAGE = Path(batch.__file__).parent


@pytest.fixture
def job(folder: Path, ink_checkpoint: Path) -> Callable[..., BatchJob]:
    def make(inputs: tuple[str, ...] = ("scans",), out: str = "out", **options: object) -> BatchJob:
        return BatchJob(inputs, out, Binarize(model=str(ink_checkpoint), samples=2), **options)

    return make


def test_records_are_those_of_the_report(
    job: Callable[..., BatchJob], binarize: Callable[..., int], ink_checkpoint: Path
) -> None:
    assert binarize("scans", "-o", "typed", "--samples", "2", "--format", "tif", "--probability", "p") == 0
    parts = []
    pages = run(job(format="tif", maps={"probability": "q"}), lambda *step: parts.append(step))
    assert (pages.total, pages.done, pages.kept, pages.problems) == (PAGES, 0, 0, [])
    records = list(pages)
    assert tree("out") == tree("typed")
    assert tree("q") == tree("p")
    assert parts[0][0] == 0
    assert parts[-1][0] == parts[-1][1]
    lines = Path("out/report.jsonl").read_text().splitlines()
    assert [Record.from_json(line) for line in lines] == records
    assert [record.status for record in records] == ["done"] * PAGES + ["bound"]
    first, last = records[0], records[-1]
    assert (first.output, first.page, first.name, pages.result(first)) == (
        "1.tif", None, "scans/1.png", "out/1.tif",
    )  # fmt: skip
    assert (last.output, last.page) == ("book.tif", None)
    assert records[-2].name == "scans/book.tif: page 3"
    assert set(first.files) == {"result", "probability"}
    assert first.files["probability"].path == "../q/1.png"
    again = run(job(format="tif", maps={"probability": "q"}))
    assert (again.done, list(again)) == (PAGES, [])


def test_a_run_that_is_closed_keeps_what_it_did(job: Callable[..., BatchJob]) -> None:
    with run(job()) as pages:
        next(pages)
        next(pages)
        with pytest.raises(OutputError, match="another run is writing to this folder"):
            run(job())
    assert list(tree("out")) == ["1.png", "b/2.png"]
    assert next(pages, None) is None
    assert [record.output for record in run(job())] == ["b/c/3.png", *(f"book-00{n}.png" for n in (1, 2, 3))]


def test_pages_that_fail_are_records(job: Callable[..., BatchJob]) -> None:
    Path("scans/b/2.png").write_text("no image")
    Path("none").mkdir()
    pages = run(job(("scans", "none")))
    assert pages.problems == ["none: no images in this folder"]
    failed = [record for record in pages if record.status == "failed"]
    assert [(record.input, record.files) for record in failed] == [("scans/b/2.png", {})]
    assert failed[0].error is not None
    assert failed[0].error.startswith("scans/b/2.png: not an image that can be read")


def test_what_cannot_be_used_is_an_error_before_the_work(
    job: Callable[..., BatchJob], ink_checkpoint: Path, doubling_checkpoint: Path
) -> None:
    binary, double = str(ink_checkpoint), str(doubling_checkpoint)
    for wrong, kind, message in (
        (job(()), FlowkitError, "inputs: expected one or more"),
        (
            job(maps={"probabilty": "p"}),
            FlowkitError,
            'unknown map "probabilty"; did you mean "probability"?',
        ),
        (job(format="gif"), FlowkitError, 'format "gif", expected one of png, tif'),
        (job(("none.png",)), ImageError, "none.png: no such file"),
        (job(("scans/1.png",), "out.gif"), OutputError, 'out.gif: ".gif", expected .png'),
        (BatchJob(["scans"], "out", Binarize(samples=0)), FlowkitError, "samples must be 1 to"),
        (
            BatchJob(["scans"], "out", Binarize(model=binary), save_samples="s"),
            FlowkitError,
            "--save-samples is made of samples",
        ),
        (
            BatchJob(["scans"], "out", Upscale(model=double), maps={"probability": "p"}),
            FlowkitError,
            'unknown map "probability"; known: none',
        ),
    ):
        with pytest.raises(kind, match=f"^{message}".replace("?", "[?]")):
            run(wrong)
    assert not Path("out").exists()
    with pytest.raises(FrozenInstanceError):
        job().out = "elsewhere"  # type: ignore[misc]


def test_one_file_into_one_file(job: Callable[..., BatchJob]) -> None:
    pages = run(job(("scans/book.tif",), "new.pdf"))
    assert not pages.is_folder
    assert [(r.status, r.output, pages.result(r)) for r in pages][-1] == ("bound", "new.pdf", "new.pdf")
    Path("scans/1.png").write_text("no image")
    Path("kept").mkdir()
    document(Path("scans/book.tif"), 2)
    Path("scans/book.tif").write_bytes(Path("scans/book.tif").read_bytes()[:-900])
    failing = run(job(("scans/book.tif",), "kept/new.pdf"))
    assert {r.status for r in failing} == {"done", "failed"}
    assert failing.unwritten == ["kept/new.pdf"]
    assert list(Path("kept").iterdir()) == []  # a folder that was there stays


def test_storage_is_handed_in(job: Callable[..., BatchJob]) -> None:
    class Counting(Storage):
        def __init__(self) -> None:
            self.puts: list[str] = []

        def put(self, path: Path) -> None:
            self.puts.append(str(path))

    storage = Counting()
    list(run(job(storage=storage, html=True)))
    assert storage.puts == ["out/report.html"]


def test_pages_done_otherwise_are_done_anew(
    job: Callable[..., BatchJob], ink_checkpoint: Path, doubling_checkpoint: Path
) -> None:
    plain = Upscale(model=str(doubling_checkpoint), ink_model=str(ink_checkpoint))
    for task, number in (
        (Upscale(model=plain.model, ink_model=plain.ink_model, focus=True), PAGES),
        (plain, PAGES),
        (plain, 0),
        (Upscale(model=plain.model), 0),  # no model of ink has a part in it
        (Binarize(model=plain.ink_model, likelihood=True), PAGES),
        (Binarize(model=plain.ink_model), 0),
        (Binarize(model=plain.ink_model, seed=1), PAGES),
    ):
        assert len(list(run(BatchJob(["scans"], "out", task)))) == number
    assert len(report()) == 4 * PAGES


def test_options_are_entered_once() -> None:
    shared = {field.name: field.default for field in fields(SamplingOptions)}
    for function in (binarize_page, upscale_page):
        parameters = inspect.signature(function).parameters
        assert {name: parameters[name].default for name in shared} == shared


def test_files_of_this_machine_know_nothing_of_urls() -> None:
    """Only the choice of a storage imports what speaks of URLs."""
    modules = {path.stem: path for path in PACKAGE.glob("*.py") if path.stem not in ("__init__", "loop")}
    assert "storage" in modules
    for path in modules.values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("flowkit.batch.remote"), path
