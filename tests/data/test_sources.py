from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from flowkit import register, registry
from flowkit.data import Source, Task, training_set
from flowkit.data.sources.drawn import TURNOVER, WINDOW, Drawn
from flowkit.data.sources.word_images import read_page_xml
from flowkit.data.tasks import PairSheet, reduce
from flowkit.errors import DataError

INK = Task(binary=True)
X4 = Task(binary=False, scale=4, target_channels=3)
X2 = Task(binary=False, scale=2, target_channels=3)


def find(task, kind, base=Path(), **options):
    return registry.get("source", kind)(task, base, **options).find()


def wrong(task, kind, base=Path(), **options):
    with pytest.raises(DataError) as error:
        find(task, kind, base, **options)
    return str(error.value)


def test_pages_are_told_apart_by_whatever_process():
    for sheet in (PairSheet(Path("a"), Path("b"), INK), Drawn(INK, Path(), pages=2).find()[1]):
        assert pickle.loads(pickle.dumps(sheet)) == sheet


def test_manifests(tmp_path, pixels, write):
    for name in ("a", "b"):
        write(tmp_path / "scans" / f"{name}.png", pixels(20, 30, 0))
        write(tmp_path / f"{name}.gt.png", np.zeros((20, 30), np.uint8))
    lines = ["image,truth", "scans/a.png, a.gt.png", "", '"scans/b.png",b.gt.png', "scans/a.png,a.gt.png"]
    (tmp_path / "list.csv").write_text("\ufeff" + "\r\n".join(lines))
    (tmp_path / "list.tsv").write_text("scans/a.png\ta.gt.png\nscans/b.png\tb.gt.png\n")
    for name in ("list.csv", "list.tsv"):
        sheets = find(INK, "paired", tmp_path, manifest=name)
        assert [Path(sheet.name).name for sheet in sheets] == ["a.png", "b.png"]
        assert sheets[1].read().target.all()
    (tmp_path / "bad.csv").write_text("scans/a.png\nscans/c.png,a.gt.png\n")
    first, second = wrong(INK, "paired", tmp_path, manifest="bad.csv").splitlines()
    assert first.endswith("bad.csv:1: expected an image and its truth, found 1 fields")
    assert "bad.csv:2: no file" in second
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\n")
    assert "cannot be read as a manifest" in wrong(INK, "paired", tmp_path, manifest="bad.csv")
    (tmp_path / "bad.csv").write_text("image,truth\n")
    assert "lists no pages" in wrong(INK, "paired", tmp_path, manifest="bad.csv")


def test_grey_truths_have_a_threshold(tmp_path, pixels, write):
    write(tmp_path / "img" / "a.png", pixels(20, 30, 0))
    write(tmp_path / "gt" / "a.png", np.full((20, 30), 100, np.uint8))
    [sheet] = find(INK, "paired", tmp_path, path=".", threshold=101)
    assert sheet.read().target.all()
    assert "must be from 1 to 255, got 0" in wrong(INK, "paired", path=".", threshold=0)


def test_pairs_of_images(tmp_path, pixels, write):
    write(tmp_path / "blurred" / "a.png", pixels(20, 30, 0))
    write(tmp_path / "sharp" / "a.tif", pixels(20, 30, 1))
    same = Task(binary=False, target_channels=3)
    [sheet] = find(same, "paired", tmp_path, images="blurred", truths="sharp")
    assert np.array_equal(sheet.read().target, pixels(20, 30, 1))
    for options in ({}, {"images": "a"}, {"path": "a", "manifest": "b"}):
        assert "needs one of" in wrong(same, "paired", **options)


def test_low_resolution_from_a_folder(tmp_path, pixels, write):
    high = pixels(40, 60, 0)
    write(tmp_path / "high" / "x" / "a.png", high)
    write(tmp_path / "low" / "x" / "a.tif", 255 - reduce(high, 4))
    options = {"path": str(tmp_path / "high"), "low": str(tmp_path / "low")}
    data = training_set(
        [{"type": "super_resolution", **options}], task=X4, patch=16, seed=0, length=20, degrade=None
    )
    for i in range(20):
        low, high_patch = data[i]
        blocks = high_patch.unfold(1, 4, 4).unfold(2, 4, 4).mean((-1, -2))
        assert (low + blocks - 1).abs().mean() < 0.1  # the negative, at the same place
    [sheet] = find(X2, "super_resolution", **options)
    with pytest.raises(DataError, match=r"a.png: is 60 x 40, but .*a.tif is 15 x 10, and the scale is 2"):
        sheet.read()
    write(tmp_path / "low" / "b.png", pixels(10, 10, 0))
    assert "no truth of this name" in wrong(X4, "super_resolution", **options)


def test_kernels_of_low_resolution(tmp_path, pixels, write):
    write(tmp_path / "a.png", pixels(40, 60, 0))
    path = str(tmp_path)
    [sheet] = find(X4, "super_resolution", path=path, kernels=["hamming", "box"])
    assert sheet.read().kernels == ("hamming", "box")
    assert "needs at least one" in wrong(X4, "super_resolution", path=path, kernels=[])
    assert "not given" in wrong(X4, "super_resolution", path=path, low=path, kernels=["box"])
    with pytest.raises(DataError, match="kernels.*cubic"):
        training_set(
            [{"type": "super_resolution", "path": path, "kernels": ["cubic"]}],
            task=X4,
            patch=16,
            seed=0,
            length=1,
        )


def test_images_smaller_than_one_low_pixel(tmp_path, pixels, write):
    write(tmp_path / "a.png", pixels(3, 60, 0))
    [sheet] = find(X4, "super_resolution", path=str(tmp_path))
    with pytest.raises(DataError, match=r"a.png: is 60 x 3, less than 4 x 4"):
        sheet.read()


def page_xml(boxes, year="2013", size=(200, 100), name="page.png"):
    """A PAGE file with a line around all boxes, and a word in each."""

    def coords(left, top, right, bottom):
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        if year == "2013":
            return '<Coords points="{}"/>'.format(" ".join(f"{x},{y}" for x, y in corners))
        return "<Coords>{}</Coords>".format("".join(f'<Point x="{x}" y="{y}"/>' for x, y in corners))

    words = "".join(
        f"<Word>{coords(*box)}<TextEquiv><Unicode>λ</Unicode></TextEquiv></Word>" for box in boxes
    )
    around = (
        [f(box[i] for box in boxes) for i, f in enumerate((min, min, max, max))] if boxes else [0, 0, 1, 1]
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><PcGts xmlns="http://schema.primaresearch.org/{year}">'
        f'<Page imageFilename="{name}" imageWidth="{size[0]}" imageHeight="{size[1]}"><TextRegion><TextLine>'
        f"{coords(*around)}{words}</TextLine></TextRegion></Page></PcGts>"
    )


@pytest.mark.parametrize("year", ["2010", "2013"])
def test_patches_lie_over_words(year, tmp_path, pixels, write):
    image = np.full((100, 200, 3), 255, np.uint8)
    image[30:45, 20:60] = image[70:80, 150:190] = 0
    write(tmp_path / "page.png", image)
    (tmp_path / "page.xml").write_text(page_xml([(20, 30, 60, 45), (150, 70, 190, 80)], year))
    words, lines = (read_page_xml(tmp_path / "page.xml", level) for level in ("word", "line"))
    assert words.boxes == ((20, 30, 61, 46), (150, 70, 191, 81))
    assert lines.boxes == ((20, 30, 191, 81),)
    [of_words] = find(X2, "word_images", path=str(tmp_path))
    [of_lines] = find(X2, "word_images", path=str(tmp_path), level="line")
    assert (of_words.boxes, of_lines.boxes) == (words.boxes, lines.boxes)
    source = {"type": "word_images", "path": str(tmp_path)}
    data = training_set([source], task=X2, patch=32, seed=0, length=50)
    ink = [float((data[i][1] < 0.5).float().mean()) for i in range(50)]
    # a whole word's height in its patch, and nearly its whole width
    assert min(ink) > 0.9 * 10 * 30 / 32**2
    assert max(ink) < 1.1 * 15 * 32 / 32**2


def test_a_page_of_words_is_one_page(tmp_path, pixels, write):
    for i in range(3):
        write(tmp_path / f"{i}.png", pixels(100, 200, i))
        (tmp_path / f"{i}.xml").write_text(
            page_xml([(20, 30, 60, 45), (90, 30, 130, 45)], name=f"C:\\scans\\{i}.PNG")
        )
    data = training_set(
        [{"type": "word_images", "path": str(tmp_path)}],
        task=X2, patch=32, seed=0, length=1, validation=0.3,
    )  # fmt: skip
    assert len(data.validation) == 1
    assert len(data.fingerprints) == 2


def test_xml_that_cannot_be_used(tmp_path, pixels, write):
    write(tmp_path / "page.png", pixels(99, 200, 0))
    file = tmp_path / "page.xml"
    options = {"path": str(tmp_path)}
    for text, words in (
        ("<alto/>", "not PAGE XML (expected <PcGts> with a <Page>, found <alto>)"),
        ("<PcGts>", "cannot be read as XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><PcGts/>', "it declares a document type"),
        (page_xml([]).replace("points", "pts"), "no page with a word"),
        (page_xml([(1, 1, 9, 9)]).replace("1,1", "1"), "a number cannot be read"),
        (page_xml([(1, 1, 9, 9)]).replace("1,1", "one,1"), "a number cannot be read"),
    ):
        file.write_text(text)
        assert words in wrong(X2, "word_images", **options), text
    file.write_text(page_xml([(1, 1, 9, 9), (5, 5, 5, 5)], name=""))  # found by its stem; the dot is no word
    [sheet] = find(X2, "word_images", **options)
    assert len(sheet.boxes) == 1
    with pytest.raises(DataError, match=r"page.png: is 200 x 99, but its boxes are for 200 x 100"):
        sheet.read()
    (tmp_path / "page.png").unlink()
    assert "no image page beside it" in wrong(X2, "word_images", **options)
    file.unlink()
    assert "no PAGE XML files" in wrong(X2, "word_images", **options)


def test_real_words(data):
    folder = data / "sophia_trikoupi"
    if not folder.is_dir():
        pytest.skip("no data: FLOWKIT_DATA has no sophia_trikoupi")
    sheets = find(X4, "word_images", path=str(folder))
    assert [len(sheet.boxes) for sheet in sheets] == [102, 101, 100]
    assert sheets[0].read().target.shape == (3420, 2200, 3)


def test_drawn_pages_are_what_their_seed_says():
    first, again, other = (Drawn(INK, Path(), pages=3, width=50, height=40, seed=s).find() for s in (1, 1, 2))
    assert len(first) == 3
    pages = [sheet.read() for sheet in first]
    assert pages[0].image.shape == (40, 50, 3)
    assert np.array_equal(pages[2].image, again[2].read().image)
    assert not np.array_equal(pages[0].target, pages[1].target)
    assert not np.array_equal(pages[0].target, other[0].read().target)
    assert not np.array_equal(pages[1].target, other[0].read().target)  # of the next seed
    [scan] = [sheet.read() for sheet in Drawn(X4, Path(), pages=1, width=50, height=41).find()]
    assert scan.image is None
    assert scan.target.shape == (40, 48, 3)


def test_drawn_pages_are_what_their_options_say():
    def images(**options):
        pages = Drawn(INK, Path(), pages=2, width=120, height=90, **options).find()
        return [page.read() for page in pages]

    plain, clean = images(), images(clean=1.0)
    assert not np.array_equal(plain[0].image, clean[0].image)
    for page in clean:  # even ink on even paper
        ink = page.image[..., 0] < (int(page.image.min()) + int(page.image.max())) / 2
        assert (ink == page.target).mean() > 0.97
    for options in ({"text_size": (40.0, 40.0)}, {"layouts": ("table",)}, {"degradations": "light"}):
        assert not np.array_equal(plain[0].image, images(**options)[0].image), options


def test_endless_pages_change_slowly():
    pages = Drawn(INK, Path(), width=30, height=30).find()
    start, later = (
        {pages.draw(index, np.random.default_rng(i)).name for i in range(80)} for index in (0, 2 * TURNOVER)
    )
    assert len(start) == WINDOW
    assert len(start & later) == WINDOW - 2
    data = training_set([{"type": "drawn", "width": 64, "height": 48}], task=INK, patch=32, seed=0, length=9)
    assert data[8][0].shape == (3, 32, 32)
    assert data.summary()[0] == "drawn: 100% of the samples; pages without end"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pages": 0}, '"pages" of source "drawn" must be 1 or more, got 0'),
        ({"width": 0}, '"width" of source'),
        ({"seed": -1}, "must be 0 or more, got -1"),
        ({"degradations": "old"}, "unknown preset"),
        ({"height": 3}, "640 x 3 pixels are less than 1 x 1 at low resolution"),
    ],
)
def test_drawn_pages_that_cannot_be(options, words):
    assert words in wrong(X4, "drawn", **options)


@pytest.mark.parametrize("kind", ["super_resolution", "word_images"])
def test_ink_wants_truths(kind):
    assert 'binary targets want "paired" or "drawn"' in wrong(INK, kind, path=".")


def test_a_source_of_ones_own(pixels, monkeypatch):
    monkeypatch.setitem(registry._entries, "source", dict(registry._entries["source"]))

    @register("microfilm")
    class Microfilm(Source):
        def __init__(self, task, base, *, reel: int):
            super().__init__(task, base)
            self.reel = reel

        def find(self):
            return [Drawn(self.task, self.base, pages=1, width=40, height=40, seed=self.reel).find()[0]]

    data = training_set([{"type": "microfilm", "reel": 7}], task=INK, patch=16, seed=0, length=1)
    assert data.summary()[0].startswith("microfilm: 100% of the samples; 1 pages")
    with pytest.raises(DataError, match='source "microfilm" needs option "reel"'):
        training_set([{"type": "microfilm"}], task=INK, patch=16, seed=0, length=1)
