from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from flowkit.data import find_images, find_pairs, load_pages
from flowkit.errors import DataError


def write(path, size=(8, 6), value=255, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)
    return path


def test_pairs_are_found_at_any_depth_by_stem(tmp_path):
    for year in ("2009", "2010"):
        write(tmp_path / year / "img" / "a.webp")
        write(tmp_path / year / "gt" / "a.png")
    (tmp_path / "2009" / "img" / "notes.txt").touch()
    pairs = find_pairs([tmp_path, tmp_path / "2009"])
    assert [(i.name, t.name, i.parent.parent.name) for i, t in pairs] == [
        ("a.webp", "a.png", "2009"),
        ("a.webp", "a.png", "2010"),
    ]


def test_images_and_truths_are_read(tmp_path):
    write(tmp_path / "img" / "a.png", mode="RGB", value=(10, 20, 30))
    truth = np.full((6, 8), 255, np.uint8)
    truth[2, 3] = 0
    (tmp_path / "gt").mkdir()
    Image.fromarray(truth).convert("1").save(tmp_path / "gt" / "a.png")
    [page] = load_pages(find_pairs([tmp_path]))
    assert page.image.shape == (6, 8, 3)
    assert tuple(page.image[0, 0]) == (10, 20, 30)
    assert np.argwhere(page.ink).tolist() == [[2, 3]]


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    write(tmp_path / "set" / "img" / "alone.png")
    write(tmp_path / "set" / "gt" / "lonely.png")
    write(tmp_path / "set" / "img" / "twice.png")
    write(tmp_path / "set" / "img" / "twice.tif")
    write(tmp_path / "set" / "gt" / "twice.png")
    with pytest.raises(DataError) as error:
        find_pairs([tmp_path / "set", tmp_path / "nowhere"])
    lines = str(error.value).splitlines()
    assert len(lines) == 4
    for words in (
        "alone.png: no truth of this name",
        "lonely.png: no image of this name",
        "twice.tif: has the same",
    ):
        assert any(words in line for line in lines)
    assert "nowhere: expected a folder `img`" in lines[-1]


def test_pages_that_cannot_be_used_are_all_named(tmp_path):
    write(tmp_path / "img" / "grey.png")
    write(tmp_path / "gt" / "grey.png", value=100)
    write(tmp_path / "img" / "size.png")
    write(tmp_path / "gt" / "size.png", size=(8, 7))
    write(tmp_path / "gt" / "torn.png")
    (tmp_path / "img" / "torn.png").write_bytes(b"not an image")
    with pytest.raises(DataError) as error:
        load_pages(find_pairs([tmp_path]))
    grey, size, torn = str(error.value).splitlines()
    assert "grey.png: a truth has black (ink) and white pixels only" in grey
    assert "size.png: is 8 x 7, but" in size
    assert size.endswith("is 8 x 6")
    assert "torn.png: not an image that can be read" in torn


def test_images_without_truths(tmp_path):
    write(tmp_path / "a" / "x.png")
    write(tmp_path / "a" / "gt" / "x.png")
    write(tmp_path / "b.jpg")
    assert [p.name for p in find_images([tmp_path])] == ["x.png", "b.jpg"]
    with pytest.raises(DataError, match="gt: no images"):
        find_images([tmp_path / "a" / "gt"])
