"""`flowkit view` on the runs of `flowkit clean`: pages that are done again as they were made."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reports import last

from flowkit.batch import BatchJob, Binarize, Clean, run
from flowkit.batch.report import REPORT
from flowkit.errors import FlowkitError
from flowkit.pages import clean
from flowkit.view.pages import Pages


def number(pages: Pages, name: str) -> int:
    return next(one["number"] for one in pages.shown() if one["name"].endswith(name))


def test_a_clean_page_is_done_again_as_a_clean_page(cleaned: Path, scans: Path, task: Binarize) -> None:
    pages = Pages(cleaned)
    one = number(pages, "a/1.png")
    assert next(page["can_be_done"] for page in pages.shown() if page["number"] == one)
    record = pages.do(one, {"samples": 6, "temperature": 1.5, "seed": 2, "pictures": False})
    assert record.status == "done"
    asked = ("task", "samples", "temperature", "seed", "pictures")
    assert [record.settings[name] for name in asked] == ["clean", 6, 1.5, 2, False]
    assert set(record.files) == {"result"}
    made = clean(scans / "a" / "1.png", model=task.model, samples=6, temperature=1.5, seed=2, pictures=False)
    made.save(cleaned.with_name("expected.jpg"))
    assert (cleaned / "a" / "1.jpg").read_bytes() == cleaned.with_name("expected.jpg").read_bytes()
    with Image.open(io.BytesIO(pages.layer(one, "result"))) as shown:
        assert shown.size == (83, 61)
    again = pages.do(one, {"samples": 1})
    assert (again.settings["temperature"], again.settings["pictures"]) == (0, False)  # the rest stays
    assert last(cleaned)["a/1.jpg"].settings == again.settings
    with run(
        BatchJob([scans], f"{cleaned}/", Clean(model=task.model, seed=2, pictures=False), format="jpg")
    ) as left:
        assert sorted(one.output for one in left) == ["a/2.jpg", "bad.jpg"]  # what the viewer did counts


def test_options_of_the_other_command_are_refused(cleaned: Path, ink: Path) -> None:
    for folder, option in ((cleaned, "decision"), (ink, "pictures")):
        pages = Pages(folder)
        with pytest.raises(FlowkitError, match=f'unknown option "{option}"'):
            pages.do(number(pages, "a/1.png"), {option: 0.5})


@pytest.mark.parametrize("kind", ["tif", "pdf"])
def test_a_page_of_a_clean_document_is_done_again(kind: str, scans: Path, task: Binarize, pixels) -> None:
    frames = [Image.fromarray(pixels(40, 30, seed)) for seed in range(2)]
    frames[0].save(scans / "book.tif", save_all=True, append_images=frames[1:])
    out = scans.with_name("bound")
    job = BatchJob([scans / "book.tif"], f"{out}/", Clean(model=task.model), format=kind)
    with run(job) as records:
        assert [one.status for one in records] == ["done"] * 2 + ["bound"]
    pages = Pages(out)
    first, second = (number(pages, f"page {index}") for index in (1, 2))
    before = [pages.layer(one, "result") for one in (first, second)]
    pages.do(second, {"samples": 5, "temperature": 2.0, "pictures": False})
    after = [pages.layer(one, "result") for one in (first, second)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False]
    (out / f"book.{kind}").unlink()
    with pytest.raises(FlowkitError, match=rf"book\.{kind} is not written yet; flowkit clean does that"):
        pages.do(second, {})


def test_a_page_keeps_the_options_that_the_viewer_does_not_offer(scans: Path, task: Binarize) -> None:
    Image.fromarray(np.full((60, 40), 230, np.uint8)).save(scans / "one.pdf", resolution=72)
    out = scans.with_name("drawn")
    wanted = replace(task, pdf_dpi=150.0, bits=16, likelihood=True)
    with run(BatchJob([scans / "one.pdf"], f"{out}/", wanted, maps={"probability": out / "p"})) as records:
        (before,) = records
    pages = Pages(out)
    after = pages.do(number(pages, "one.pdf"), {"seed": 4})
    assert {**before.settings, "seed": 4} == after.settings
    assert (after.width, after.height) == (before.width, before.height)


def test_pages_of_other_commands_and_layouts_are_refused(cleaned: Path) -> None:
    line = json.loads((cleaned / REPORT).read_text().splitlines()[0])
    for changed, message in (
        (
            {"task": "upscale"},
            "was made by flowkit upscale; expected a page of flowkit binarize or flowkit clean",
        ),
        ({"layouts_sha256": "0"}, "made with a layout; do it again by flowkit clean --layout"),
    ):
        settings = {**line["settings"], **changed}
        (cleaned / REPORT).write_text(json.dumps({**line, "settings": settings}) + "\n")
        with pytest.raises(FlowkitError, match=message):
            Pages(cleaned).do(0, {})
