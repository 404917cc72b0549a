from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from flowkit.data import Task, load_pages, training_set
from flowkit.data.fingerprint import fingerprint
from flowkit.errors import DataError

INK = Task(binary=True)
X2 = Task(binary=False, scale=2, target_channels=3)


def assemble(*sources, task=INK, **options):
    return training_set(list(sources), task=task, patch=16, seed=0, length=10, **options)


def lines(*sources, **options):
    with pytest.raises(DataError) as error:
        assemble(*sources, **options)
    return str(error.value).splitlines()


def test_every_problem_of_every_source_is_listed(tmp_path, paired, pixels, write):
    ink = np.full((40, 40), 255, np.uint8)
    for name in ("grey", "size", "torn", "empty"):
        write(tmp_path / "bad" / "img" / f"{name}.png", pixels(40, 40, 0))
        write(tmp_path / "bad" / "gt" / f"{name}.png", ink)
    write(tmp_path / "bad" / "gt" / "grey.png", np.full((40, 40), 100, np.uint8))
    write(tmp_path / "bad" / "gt" / "size.png", ink[:30])
    torn = tmp_path / "bad" / "img" / "torn.png"
    torn.write_bytes(torn.read_bytes()[:200])
    (tmp_path / "bad" / "img" / "empty.png").write_bytes(b"")
    (tmp_path / "none").mkdir()
    write(tmp_path / "alone" / "img" / "a.png", pixels(40, 40, 0))
    (tmp_path / "alone" / "gt").mkdir()
    found = lines(
        {"type": "paired", "path": str(tmp_path / "bad")},
        {"type": "paired", "path": [str(tmp_path / "none"), str(tmp_path / "alone")]},
        {"type": "drawm"},
        paired,
    )
    assert len(found) == 7
    for words in (
        'unknown source "drawm"; did you mean "drawn"?',
        "gt/grey.png: a truth has black (ink) and white pixels only, found grey ones (1,600 of 1,600)",
        "gt/size.png: is 40 x 30, but ",
        "img/torn.png: the image is damaged or cut short",
        "img/empty.png: the file is empty",
        "none: expected a folder `img` with a folder `gt` beside it",
        "img/a.png: no truth of this name in",
    ):
        assert any(words in line for line in found), words


def test_notes_of_the_reader_are_in_the_summary(tmp_path, pixels, write):
    for i in range(3):
        write(tmp_path / "img" / f"{i}.tif", pixels(40, 40, i), save_all=True, append_images=[second(pixels)])
        write(tmp_path / "gt" / f"{i}.png", np.where(pixels(40, 40, i)[..., 0] < 99, 0, 255).astype(np.uint8))
    *_, last = assemble({"type": "paired", "path": str(tmp_path)}).summary()
    where = f"{tmp_path / 'img' / '0.tif'} and 2 more"
    assert last == f"note: holds 2 images, only the first is used ({where})"


def second(pixels):
    return Image.fromarray(pixels(40, 40, 9))


def test_pages_are_split_by_what_is_on_them(tmp_path, paired):
    held = {fingerprint(page.image) for page in assemble(paired, validation=0.4).validation}
    assert len(held) == 2
    # other names, another order, every page twice
    for i, name in enumerate("dbeac"):
        for copy in ("", "2"):
            for part in ("img", "gt"):
                target = tmp_path / "again" / part / f"{name}{copy}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(paired / part / f"{i}.png", target)
    again = assemble(tmp_path / "again", validation=0.4)
    assert [fingerprint(page.image) for page in again.validation].count(min(held)) == 2
    assert {fingerprint(page.image) for page in again.validation} == held
    assert not again.fingerprints & held
    assert len(again.fingerprints) == 3


def test_samples_come_from_training_pages_only(tmp_path, write):
    for i in range(4):
        write(tmp_path / f"{i}.png", np.full((32, 32, 3), 60 * i, np.uint8))
    data = assemble(tmp_path, task=X2, validation=0.5)
    held = {page.target[0, 0, 0] for page in data.validation}
    seen = {round(255 * float(data[i][1].mean())) for i in range(10)}
    assert len(held) == 2
    assert not seen & held


def test_the_same_page_on_both_sides_is_refused(tmp_path, paired, write):
    [page] = load_pages([paired / "img" / "3.png"])
    write(tmp_path / "held" / "img" / "other.tif", page.image)
    shutil.copytree(paired / "gt", tmp_path / "held" / "gt")
    for i in (0, 1, 2, 4):
        (tmp_path / "held" / "gt" / f"{i}.png").unlink()
    (tmp_path / "held" / "gt" / "3.png").rename(tmp_path / "held" / "gt" / "other.png")
    [line] = lines(paired, validation=[tmp_path / "held"])
    assert line.endswith(f"{paired}/img/3.png, the same page, is trained on")
    assert "other.tif: is for validation, but " in line


def test_other_pages_are_validated_on(tmp_path, paired):
    data = assemble(
        {"type": "drawn"}, validation=[paired, {"type": "drawn", "pages": 1, "width": 50, "height": 60}]
    )
    assert [page.image.shape for page in data.validation][-1] == (60, 50, 3)
    assert len(data.validation) == 6
    assert data.fingerprints == frozenset()


def test_shares_that_cannot_be_held_back(tmp_path, write):
    plain = [np.full((20, 20, 3), level, np.uint8) for level in (0, 255)]
    first, second = sorted(plain, key=fingerprint)
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        write(tmp_path / name, first)
    [line] = lines(tmp_path, task=X2, validation=0.5)
    assert line == "a share of 0.5 of the pages cannot be held back: there is only one"
    assert "below 1, got 1.5" in lines(tmp_path, task=X2, validation=1.5)[0]
    write(tmp_path / "b" / "2.png", second)
    sources = [{"type": "super_resolution", "path": str(tmp_path / name)} for name in ("a", "b")]
    [held] = assemble(sources[1], task=X2, validation=0.01).validation  # one at least
    assert np.array_equal(held.target, first)
    [line] = lines(*sources, task=X2, validation=0.5)
    assert line.endswith("a: all of its pages are held back for validation")
    assert "cannot be validated on" in lines(tmp_path, task=X2, validation=[{"type": "drawn"}])[0]
    assert lines() == ["no training data was given"]


DATA = """\
sources:
  - {type: paired, path: set, weight: 2}
  - type: drawn
    pages: 2
    width: 60
    height: 40
validation: 0.2
cache: 30_000
"""


def test_a_data_file_says_it_all(tmp_path, paired, monkeypatch):
    file = tmp_path / "data.yaml"
    file.write_text(DATA)
    monkeypatch.chdir("/")  # paths start from the file's folder
    data = assemble(file)
    assert [share.weight for share in data.shares] == [2, 1]
    assert len(data.validation) == 1  # of 5 and 2
    assert 0 < data.pages.cache.used <= data.pages.cache.budget == 30_000
    assert len(assemble(file, validation=0.5, cache=0).validation) == 3
    assert data.summary()[1].startswith("drawn: 33% of the samples")
    short = tmp_path / "short.yml"
    short.write_text("- {type: paired, path: set}\n")
    assert len(assemble(short).fingerprints) == 5


def test_the_errors_of_a_data_file_have_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.yaml").write_text(
        "sources:\n"
        "  - {type: paired, paths: set}\n"
        "  - {type: drawn, pages: many, weight: 0}\n"
        "  - set\n"
        "  - {type: word_images}\n"
        "  - {type: paired, path: a, manifest: b}\n"
        "validation: 2\n"
        "cache: 1.5\n"
        "cash: 1\n"
    )
    text = "\n".join(lines("data.yaml"))
    for words in (
        'source "paired" has no option "paths"; did you mean "path"?\n  at data.yaml:2: sources[0].paths',
        "must be int | None, got 'many'\n  at data.yaml:3: sources[1].pages",
        '"weight" of a source must be a number above 0, got 0\n  at data.yaml:3: sources[1].weight',
        "a source must be a mapping with \"type\", got 'set'\n  at data.yaml:4: sources[2]",
        'source "word_images" needs option "path" (str | list[str])\n  at data.yaml:5: sources[3].path',
        'needs one of: "path"; "images" and "truths"; "manifest"\n  at data.yaml:6: sources[4]',
        "must be a share from 0 to 1, or a list of sources, got 2\n  at data.yaml:7: validation",
        '"cache" must be a number of bytes, got 1.5\n  at data.yaml:8: cache',
        'a data file has no key "cash"; did you mean "cache"?\n  at data.yaml:9: cash',
    ):
        assert words in text, words
    (tmp_path / "data.yaml").write_text("- {type: paired, path: !!python/name:os.system }\n")
    assert "is refused" in lines("data.yaml")[0]
    assert lines("nowhere.yaml") == ["no file nowhere.yaml"]
    (tmp_path / "data.yaml").write_text("path: set\n")
    assert 'a mapping with "sources", got' in lines("data.yaml")[0]
    (tmp_path / "data.yaml").write_text("sources: []\n")
    assert "expected a list of sources, got []" in lines("data.yaml")[0]
