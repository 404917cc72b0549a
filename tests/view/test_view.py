"""`flowkit view`: its pages, what is done with them, and wrong use."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reports import last

from flowkit.batch import BatchJob, Binarize, run
from flowkit.batch.report import REPORT, records_of
from flowkit.cli import main
from flowkit.errors import FlowkitError
from flowkit.pages import clean
from flowkit.view.pages import Pages


def image(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)


def number(pages: Pages, name: str) -> int:
    return next(one["number"] for one in pages.shown() if one["name"].endswith(name))


def test_pages_of_a_run(ink: Path, scans: Path) -> None:
    pages = Pages(ink)
    first, *more = pages.shown()
    assert (first["status"], first["layers"]) == ("failed", ["input"])
    assert "not an image" in first["error"]
    assert more[0]["review"] >= more[1]["review"]
    assert more[0]["layers"] == ["input", "result", "clean", "probability"]
    one = number(pages, "a/1.png")
    with Image.open(scans / "a" / "1.png") as page:
        assert np.array_equal(image(pages.layer(one, "input")), np.asarray(page))
    votes, result = image(pages.layer(one, "probability")), image(pages.layer(one, "result"))
    assert np.array_equal(votes >= 128, result == 0)
    for kind in ("../report.jsonl", "uncertainty"):
        with pytest.raises(FlowkitError, match="has no"):
            pages.layer(one, kind)
    with pytest.raises(FlowkitError, match="not an image"):
        pages.layer(first["number"], "input")
    with pytest.raises(FlowkitError, match="no page 17"):
        pages.layer(17, "input")


def test_the_clean_page_by_the_ink_of_a_run(ink: Path, scans: Path, task: Binarize) -> None:
    """As `flowkit clean` makes it of the same ink, whatever model or threshold found that."""
    pages = Pages(ink)
    one = number(pages, "a/1.png")
    expected = clean(scans / "a" / "1.png", model=task.model)
    with run(BatchJob([scans], f"{ink}/", replace(task, samples=1))) as records:
        assert sorted(record.status for record in records) == ["done", "done", "failed"]
    assert np.array_equal(image(pages.layer(one, "clean")), expected.image)
    with Image.open(ink / "a" / "1.png") as result:
        wrong = result.crop((0, 0, 20, 30))
    wrong.save(ink / "a" / "1.png")
    with pytest.raises(FlowkitError, match="page and ink are 83 x 61 and 20 x 30, expected one size"):
        pages.layer(one, "clean")


def test_an_accepted_page_stays_as_it_is(ink: Path, scans: Path, task: Binarize) -> None:
    pages = Pages(ink)
    one = number(pages, "a/1.png")
    before = (ink / "a" / "1.png").read_bytes()
    pages.accept(one, accepted=True)
    assert last(ink)["a/1.png"].status == "kept"
    other = Binarize(model=task.model, samples=4, seed=9)
    with run(BatchJob([scans], f"{ink}/", other, maps={"probability": ink / "p"})) as again:
        assert sorted(record.output for record in again) == ["a/2.png", "bad.png"]
    assert (ink / "a" / "1.png").read_bytes() == before
    pages.accept(one, accepted=False)
    assert last(ink)["a/1.png"].status == "done"
    with pytest.raises(FlowkitError, match="no result that could be accepted"):
        pages.accept(number(pages, "bad.png"), accepted=True)


def test_a_page_is_done_again_with_other_options(ink: Path) -> None:
    pages = Pages(ink)
    one = number(pages, "a/1.png")
    before = {name: record.sha256 for name, record in last(ink).items()}
    assert pages.do(one, {"samples": 6, "decision": 0.3, "temperature": 1.5}).status == "done"
    record = last(ink)["a/1.png"]
    asked = ("samples", "decision", "temperature", "seed")
    assert [record.settings[name] for name in asked] == [6, 0.3, 1.5, 0]
    assert record.sha256 == before["a/1.png"]
    assert set(record.files) == {"result", "probability", "uncertainty"}
    votes = image(pages.layer(one, "probability"))
    assert np.array_equal(votes >= 255 * 0.3 - 0.5, image(pages.layer(one, "result")) == 0)
    assert pages.do(one, {"samples": 1}).settings["decision"] == "mode"  # not what was for samples
    for options, message in [
        ({"samples": "2"}, "samples: must be int, got '2'"),
        ({"memory": 1}, 'unknown option "memory"'),
        ({"samples": 1, "decision": 0.5}, "samples of 2 or more"),
    ]:
        with pytest.raises(FlowkitError, match=message):
            pages.do(one, options)
    assert pages.busy is None


def test_tables_are_no_images_and_are_made_again_with_the_page(scans: Path, task: Binarize) -> None:
    out = scans.with_name("ink")
    maps = {kind: out / kind for kind in ("probability", "components")}
    list(run(BatchJob([scans / "a"], f"{out}/", task, maps=maps)))
    pages = Pages(out)
    one = number(pages, "a/1.png")
    assert next(page["layers"] for page in pages.shown() if page["number"] == one) == [
        "input", "result", "clean", "probability",
    ]  # fmt: skip
    before = json.loads((out / "components" / "1.json").read_text())
    record = pages.do(one, {"samples": 6})
    after = json.loads((out / "components" / "1.json").read_text())
    assert (before["samples"], after["samples"]) == (4, 6)
    assert record.files["components"].path == "components/1.json"


def test_pages_that_were_never_done(scans: Path, task: Binarize) -> None:
    out = scans.with_name("new")
    pages = Pages(out, [str(scans)], task)
    assert [one["status"] for one in pages.shown()] == ["new"] * 3
    assert not out.exists()
    one = number(pages, "a/2.png")
    pages.do(one, {})
    assert last(out)["a/2.png"].settings["samples"] == 4
    first = pages.shown()[0]
    assert (first["number"], first["status"]) == (one, "done")
    with run(BatchJob([scans], f"{out}/", task)) as records:
        assert sorted(record.output for record in records) == ["a/1.png", "bad.png"]


def test_nothing_is_written_outside_of_the_folder(ink: Path, tmp_path: Path) -> None:
    line = json.loads((ink / REPORT).read_text().splitlines()[0])
    for output in ("../stolen.png", str(tmp_path / "stolen.png")):
        (ink / REPORT).write_text(json.dumps({**line, "output": output}) + "\n")
        pages = Pages(ink)
        with pytest.raises(FlowkitError, match="is not in the folder"):
            pages.do(0, {})
    assert not (tmp_path / "stolen.png").exists()
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (ink / REPORT).write_text(json.dumps({**line, "input": str(secret)}) + "\n")
    with pytest.raises(FlowkitError, match="not an image"):
        Pages(ink).layer(0, "input")


@pytest.mark.parametrize("kind", ["tif", "pdf"])
def test_a_page_of_a_document_is_done_again(kind: str, scans: Path, task: Binarize, pixels) -> None:
    frames = [Image.fromarray(pixels(40, 30, seed)) for seed in range(3)]
    frames[0].save(scans / "book.tif", save_all=True, append_images=frames[1:])
    out = scans.with_name("bound")
    job = BatchJob([scans / "book.tif"], f"{out}/", task, format=kind)
    with run(job) as records:
        assert [one.status for one in records] == ["done"] * 3 + ["bound"]
    pages = Pages(out)
    names = [f"book.tif: page {index}" for index in (1, 2, 3)]
    before = [pages.layer(number(pages, name), "result") for name in names]
    second = number(pages, names[1])
    assert pages.do(second, {"samples": 6, "decision": 0.01, "temperature": 3.0}).status == "done"
    after = [pages.layer(number(pages, name), "result") for name in names]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    votes = image(pages.layer(second, "probability"))
    ink = image(after[1]).reshape(40, 30, -1)[..., 0]
    assert np.array_equal(votes >= 255 * 0.01 - 0.5, ink == 0)
    document = records_of((out / REPORT).read_text())[0][f"book.{kind}", None]
    assert document.status == "bound"
    assert document.files["result"].bytes == (out / f"book.{kind}").stat().st_size
    assert sorted(path.name for path in out.iterdir()) == [".flowkit-view", f"book.{kind}", REPORT]
    pages.accept(second, accepted=True)
    with run(job) as records:
        assert list(records) == []
    pages.do(number(pages, names[0]), {"seed": 3})
    with run(job) as records:  # all but what was accepted
        assert [(one.page, one.status) for one in records] == [(1, "done"), (3, "done"), (None, "bound")]
    assert [pages.layer(number(pages, name), "result") for name in names] == after
    (scans / "book.tif").unlink()
    with pytest.raises(FlowkitError, match=r"book\.tif: no such file"):
        pages.do(second, {})
    with run(replace(job, inputs=[out / f"book.{kind}"], out=f"{scans}/new/")) as records:
        assert len(list(records)) == 4  # it can be read as any other


def test_a_page_of_a_document_that_is_not_written(scans: Path, task: Binarize) -> None:
    frames = [Image.fromarray(np.full((40, 30), level, np.uint8)) for level in (10, 200)]
    frames[0].save(scans / "two.tif", save_all=True, append_images=frames[1:])
    out = scans.with_name("bound")
    with run(BatchJob([scans / "two.tif"], f"{out}/", task, format="tif")) as records:
        assert len(list(records)) == 3
    pages = Pages(out)
    assert all(one["can_be_done"] for one in pages.shown())
    second = number(pages, "two.tif: page 2")
    assert image(pages.layer(second, "input")).mean() == 200
    assert image(pages.layer(second, "result")).shape == (40, 30)
    whole = (out / "two.tif").read_bytes()
    (out / "two.tif").unlink()
    assert not any(one["can_be_done"] for one in pages.shown())
    with pytest.raises(FlowkitError, match=r"page 2: two\.tif is not written yet"):
        pages.do(second, {})
    (out / "two.tif").write_bytes(whole)
    pages.accept(second, accepted=True)
    with run(BatchJob([scans / "two.tif"], f"{out}/", task, format="tif")) as records:
        assert list(records) == []
    with pytest.raises(FlowkitError, match="would be written again"):
        pages.accept(second, accepted=False)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["scans"], "scans: has no report.jsonl; expected a folder that flowkit wrote, or -o OUT"),
        (["scans", "ink"], "several inputs need -o OUT"),
        (["none", "-o", "out"], "none: no such file"),
        (["ink", "--port", "99999"], "--port must be 65535 or less, got 99999"),
    ],
)
def test_wrong_use(argv: list[str], message: str, scans: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(scans.parent)
    assert main(["view", *argv]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra(missing: str, ink: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["view", str(ink)]) == 2
    assert capsys.readouterr().err.endswith(f"flowkit view needs {missing}: pip install 'flowkit-nf[view]'\n")
