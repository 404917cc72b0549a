"""Degradations that read a folder of photographs, and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.degradations import degradations_from

PAGE = np.full((90, 130, 3), 0.9, np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs: paper with one dark bar each, and a file that is none."""
    for index in range(2):
        photograph = np.full((120, 80, 3), (230, 220, 200), np.uint8)
        photograph[40:60, 20 + 10 * index : 60] = (90, 60, 40)
        Image.fromarray(photograph).save(tmp_path / f"{index}.png")
    (tmp_path / "readme.txt").write_text("no image")
    return tmp_path


@pytest.mark.parametrize("name", ["photographed_stains", "photographed_paper"])
def test_photographs_darken_a_page_and_nothing_lightens_it(name: str, folder: Path) -> None:
    worse = degradations_from([{"type": name, "folder": str(folder), "zoom": [2.0, 2.0]}])
    results = [worse(PAGE, np.random.default_rng(seed)) for seed in range(8)]
    assert all(result.shape == PAGE.shape and result.max() <= 0.9 + 1e-6 for result in results)
    assert min(result.min() for result in results) < 0.6  # a bar was seen
    assert worse.notes() == []
    assert np.array_equal(results[3], worse(PAGE, np.random.default_rng(3)))


def test_stains_fade_towards_their_rim(folder: Path) -> None:
    # a photograph that is dark everywhere but for a tenth that counts as its paper
    photograph = np.full((100, 100, 3), 60, np.uint8)
    photograph[:12] = 240
    Image.fromarray(photograph).save(folder / "2.png")
    for index in range(2):
        (folder / f"{index}.png").unlink()
    worse = degradations_from(
        [{"type": "photographed_stains", "folder": str(folder), "zoom": [1.0, 1.0], "count": [1, 1]}]
    )
    page = np.ones((300, 300, 3), np.float32)
    jumps = []
    for seed in range(5):
        result = worse(page, np.random.default_rng(seed))[..., 0]
        jumps.append(np.abs(np.diff(result, axis=1)).max())
    assert max(jumps) < 0.2


@pytest.mark.parametrize("name", ["photographed_stains", "photographed_paper"])
def test_a_missing_folder_is_noted_and_drawn_ones_take_its_place(name: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    worse = degradations_from([{"type": "one_of", "of": [{"type": name, "folder": missing}]}])
    assert worse.notes() == [
        f"{missing}: no images in such a folder; drawn ones take the place of photographs"
    ]
    results = [worse(PAGE, np.random.default_rng(seed)) for seed in range(4)]
    assert any(not np.array_equal(result, PAGE) for result in results)


def test_a_picture_keeps_off_the_ink() -> None:
    ink = np.zeros((200, 240), bool)
    ink[::20] = True
    ink[60:140, 90:200] = False
    worse = degradations_from([{"type": "picture", "size": [0.3, 0.5]}])
    page = np.where(ink[..., None], np.float32(0.1), np.float32(0.9)).repeat(3, axis=2)
    changed = 0
    for seed in range(12):
        result = worse(page, np.random.default_rng(seed), ink=ink)
        assert np.array_equal(result[ink], page[ink])
        changed += not np.array_equal(result, page)
    assert changed >= 6
    crowded = np.ones((200, 240), bool)
    assert np.array_equal(worse(page, np.random.default_rng(0), ink=crowded), page)
