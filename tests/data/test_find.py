from __future__ import annotations

import pytest

from flowkit.data import find_pairs
from flowkit.data.find import match
from flowkit.errors import DataError

# folder and file names of several years, as they come out of the archives
LAYOUTS = {
    "two folders": {"dataset/1.bmp": "dataset_GT/1_gt.bmp", "dataset/2.bmp": "dataset_GT/2_gt.bmp"},
    "side by side": {"HW1.png": "HW1_GT.tiff", "PR1.png": "PR1_GT.tiff"},
    "estimated": {"original_images/H01.png": "GTimages/H01_estGT.tiff"},
    "GT in the middle": {
        "2009-images-handwritten/H01.bmp": "2009-GT-Test-images_handwritten/H01.tiff",
        "2009-images-printed/P01.bmp": "2009-GT-Test-images_printed/P01.tiff",
    },
    "several years": {
        "2016/img/1.bmp": "2016/gt_images/1_gt.bmp",
        "2017/Dataset/1.bmp": "2017/GT/1_gt.bmp",
        "2018/1.bmp": "2018/GT/1.bmp",
    },
    "words": {"a/Page.JPG": "a/Ground Truth/page.PNG"},
}


def touch(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_years_as_they_are_downloaded(layout, tmp_path):
    pairs = LAYOUTS[layout]
    touch(tmp_path, [*pairs, *pairs.values(), "readme.pdf", "._H01.png"])
    found = find_pairs([tmp_path])
    assert {str(i.relative_to(tmp_path)): str(t.relative_to(tmp_path)) for i, t in found} == pairs


def test_what_is_not_clear_is_said(tmp_path):
    touch(tmp_path, ["a/1.png", "b/1.png", "GT/1.png", "c/GT/2.png", "d/GT/2.png", "2.png", "3_gt.png"])
    with pytest.raises(DataError) as error:
        find_pairs([tmp_path])
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert "GT/1.png: could be the truth of" in str(error.value)
    assert "c/GT/2.png and" in str(error.value)
    assert lines[-1] == f"{tmp_path}/3_gt.png: no image of this name in {tmp_path}"
    touch(tmp_path / "other", ["4.png", "gt/5.png"])
    with pytest.raises(
        DataError, match=r"4.png: no truth of this name in .*other\n.*5.png: no image of this"
    ):
        find_pairs([tmp_path / "other"])


def test_two_named_folders_are_matched_by_their_paths_inside(tmp_path):
    touch(tmp_path, ["scans/a/1.tif", "scans/b/1.tif", "masks/a/1_GT.png", "masks/b/1.png"])
    found = match(tmp_path / "scans", tmp_path / "masks")
    assert [(str(i.relative_to(tmp_path)), str(t.relative_to(tmp_path))) for i, t in found] == [
        ("scans/a/1.tif", "masks/a/1_GT.png"),
        ("scans/b/1.tif", "masks/b/1.png"),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no images"):
        match(tmp_path / "empty", tmp_path / "empty")
    with pytest.raises(DataError) as error:
        match(tmp_path / "scans", tmp_path / "nowhere")
    assert str(error.value).splitlines()[0] == f"{tmp_path}/nowhere: no such folder"
    assert len(str(error.value).splitlines()) == 3


def test_the_real_sets_are_found(data):
    assert len(find_pairs([data / "dibco"])) == 113
    assert len(find_pairs([data / name for name in ("dibco", "bickley", "phibd2012", "smadi_msi")])) == 164
