from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.pages import Page
from flowkit.pages.decision import Sampling
from flowkit.pages.review import review


def page(votes: list[list[int]] | np.ndarray, samples: int, *, dpi: float | None = None) -> Page:
    counted = np.asarray(votes, np.uint8)
    sampling = Sampling(0.5, 1.0, samples, 0)
    return Page(2 * counted >= samples, sampling, counted, dpi=None if dpi is None else (dpi, dpi))


def test_the_score_is_the_f_measure_that_is_expected_to_be_lost() -> None:
    # ink: 4/4, 3/4; paper: 1/4, 0: wrong = 1/4 + 1/4, right = 7/4
    found = page([[4, 3, 1, 0]], 4).review
    assert found.score == pytest.approx(0.5 / (2 * 1.75 + 0.5))
    assert found.tiles.shape == (1, 1)


def test_certain_pages_score_nothing() -> None:
    assert page([[0, 8], [8, 0]], 8).review.score == 0


def test_specks_on_an_empty_page_are_no_bad_page() -> None:
    votes = np.zeros((100, 100), np.uint8)
    votes[5, 5] = 8
    assert page(votes, 16).review.score == pytest.approx(0.5 / (2 * 100 + 0.5))


def test_the_worst_part_comes_first() -> None:
    votes = np.full((300, 520), 16, np.uint8)
    votes[256:, 256:512] = 10
    votes[:256, :256] = 15
    found = page(votes, 16).review
    assert found.side == 256
    assert found.tiles.shape == (2, 3)
    parts = list(found.worst())
    assert len(parts) == 6
    assert (parts[0].rows.start, parts[0].cols.start) == (256, 256)
    assert (parts[1].rows.start, parts[1].cols.start) == (0, 0)
    assert parts[0].score == pytest.approx((6 / 16) / (2 * 10 / 16 + 6 / 16))
    assert parts[2].score == 0


@pytest.mark.parametrize(("dpi", "side"), [(None, 256), (300.0, 256), (600.0, 512), (75.0, 64)])
def test_parts_are_as_large_on_paper_at_any_resolution(dpi: float | None, side: int) -> None:
    assert page(np.zeros((3, 3)), 4, dpi=dpi).review.side == side


def test_a_decision_against_the_votes_counts_as_wrong() -> None:
    votes = np.array([[3]], np.uint8)
    assert (
        review(np.array([[False]]), votes, 4, None).score > review(np.array([[True]]), votes, 4, None).score
    )


def test_entropy_in_bits() -> None:
    found = page([[0, 1, 2, 4]], 4)
    quarter = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert np.allclose(found.entropy, [[0, quarter, 1, 0]])
    assert found.mean_entropy == pytest.approx((quarter + 1) / 4)
    assert page([[4]], 4).mean_entropy == 0


def test_maps_in_files(tmp_path: Path) -> None:
    found = page([[0, 1, 2], [3, 4, 4]], 4, dpi=300)
    found.save_probability(tmp_path / "p.png")
    found.save_probability(tmp_path / "p16.tif", bits=16)
    assert np.asarray(Image.open(tmp_path / "p.png")).tolist() == [[0, 64, 128], [191, 255, 255]]
    deep = np.asarray(Image.open(tmp_path / "p16.tif"))
    assert deep.dtype == np.uint16
    assert deep.tolist() == [[0, 16384, 32768], [49151, 65535, 65535]]
    with pytest.raises(ValueError, match="bits must be 8 or 16, got 4"):
        found.save_probability(tmp_path / "p4.png", bits=4)
    for suffix in ("png", "tif", "jp2", "webp"):
        found.save_uncertainty(tmp_path / f"u.{suffix}")
        with Image.open(tmp_path / f"u.{suffix}") as image:
            shown = np.asarray(image.convert("RGB"))
            assert shown[0, 0].tolist() == [0, 0, 0]
            assert shown[0, 2].tolist() == [255, 255, 255]
            assert shown[0, 1, 0] == 255  # 0.81 bits: red is full, and green
            if suffix == "png":
                assert image.mode == "P"
                assert round(image.info["dpi"][0]) == 300
                assert np.asarray(image)[0].tolist() == [0, 207, 255]


def test_samples_in_files(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).random((10, 5, 7)) < 0.5
    bits = np.zeros((2, 5, 7), np.uint8)
    for i, sample in enumerate(drawn):
        bits[i // 8] |= sample.astype(np.uint8) << (i % 8)
    found = Page(drawn[0], Sampling(0.5, 1.0, 10, 0), drawn.sum(0).astype(np.uint8), bits)
    assert np.array_equal(found.samples, drawn)
    paths = found.save_samples(tmp_path / "page.png")
    assert [path.name for path in paths] == [f"page-{i:02}.png" for i in range(1, 11)]
    for path, sample in zip(paths, drawn, strict=True):
        assert np.array_equal(~np.asarray(Image.open(path)), sample)
