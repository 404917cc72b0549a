from __future__ import annotations

import doctest
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flowkit.degradations import scan as steps
from flowkit.degradations.bare_paper import paper
from flowkit.degradations.scan import degrade
from flowkit.degradations.texture import Array, blur, smooth_field, smoothstep
from flowkit.errors import DataError
from flowkit.synthetic.page import draw_page

ROOT = Path(__file__).parents[2]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return draw_page(360, 300, rng(3))


def test_the_docstring_examples_hold() -> None:
    outcome = doctest.testmod(steps)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_a_field_has_mean_0_deviation_1_and_the_scale_of_its_cell() -> None:
    field = np.stack([smooth_field(120, 160, 10, rng(seed), octaves=2) for seed in range(20)])
    assert field.dtype == np.float32
    assert abs(field.mean()) < 0.1
    assert 0.8 < field.std() < 1.2
    coarse, fine = (smooth_field(200, 200, cell, rng(1)) for cell in (40, 5))
    assert 4 * np.abs(np.diff(coarse)).mean() < np.abs(np.diff(fine)).mean()


@pytest.mark.parametrize("sigma", [0.7, 3.0, 9.0])
def test_blur_is_a_gaussian_of_its_sigma(sigma: float) -> None:
    image = np.zeros((121, 121), np.float32)
    image[60, 60] = 1
    out = blur(image, sigma)
    offset = np.arange(121) - 60
    assert out.sum() == pytest.approx(1, abs=0.02)
    for axis in (0, 1):
        assert np.sqrt((out.sum(axis) * offset**2).sum()) == pytest.approx(sigma, rel=0.1)


def test_blur_keeps_a_constant_and_its_edges() -> None:
    image = np.full((9, 30, 3), 0.3, np.float32)
    for sigma in (0.0, 1.0, 8.0):
        np.testing.assert_allclose(blur(image, sigma), image, atol=1e-5)


def test_smoothstep_meets_its_ends() -> None:
    np.testing.assert_allclose(smoothstep(np.array([-1, 2, 3, 4, 9], np.float32), 2, 4), [0, 0, 0.5, 1, 1])


STEPS: dict[str, Callable[..., Array]] = {
    "ink": lambda page, truth, rng, strength: steps.lay_ink(page, truth, rng, strength)[0],
    "stains": lambda page, truth, rng, strength: steps.stains(page, rng, strength),
    "uneven_light": lambda page, truth, rng, strength: steps.uneven_light(page, rng, strength),
    "contrast": lambda page, truth, rng, strength: steps.contrast(page, rng, strength),
}


@pytest.mark.parametrize("name", STEPS)
def test_each_step_repeats_itself_leaves_its_input_alone_and_stays_in_range(name: str, truth: Any) -> None:
    step, page = STEPS[name], paper(truth.shape, rng())
    before = page.copy()
    for strength in (1.0, 3.0):
        # seed 2 spills something
        out = step(page, truth, rng(2), strength)
        assert np.array_equal(page, before)
        assert out.dtype == np.float32
        assert out.shape == page.shape
        assert out.min() >= -1e-6
        assert out.max() <= 1 + 1e-6
        assert np.abs(out - page).max() > 0.002
        assert np.array_equal(out, step(page, truth, rng(2), strength))
        assert not np.array_equal(out, step(page, truth, rng(4), strength))


@pytest.mark.parametrize("name", [name for name in STEPS if name != "ink"])
def test_a_step_of_strength_0_changes_nothing(name: str, truth: Any) -> None:
    page = paper(truth.shape, rng())
    np.testing.assert_allclose(STEPS[name](page, truth, rng(2), 0.0), page, atol=1e-6)


def test_ink_darkens_where_the_truth_is_and_spreads_little(truth: Any) -> None:
    page = np.full((*truth.shape, 3), 0.9, np.float32)
    out = steps.lay_ink(page, truth, rng())[0].mean(axis=2)
    assert out[truth].mean() < 0.45
    far = blur(truth.astype(np.float32), 3.0) < 1e-3
    assert out[far].min() > 0.85


def test_without_degradation_half_grey_recovers_the_truth(truth: Any) -> None:
    grey = degrade(truth, rng(), 0.0).mean(axis=2)
    paper_grey = np.median(grey[~truth])
    assert ((grey < paper_grey * 0.6) == truth).mean() > 0.985


def test_a_scan_keeps_ink_darker_than_the_paper_around_it(truth: Any) -> None:
    for seed in range(5):
        grey = degrade(truth, rng(seed)).astype(np.float32).mean(axis=2)
        near = (blur(truth.astype(np.float32), 4.0) > 0.05) & ~truth
        assert grey[truth].mean() < 0.75 * grey[near].mean()


def test_more_strength_makes_a_page_that_a_threshold_reads_worse(truth: Any) -> None:
    def errors(strength: float) -> float:
        wrong = []
        for seed in range(6):
            grey = degrade(truth, rng(seed), strength).mean(axis=2)
            cuts = np.linspace(grey.min(), grey.max(), 40)
            wrong.append(min(((grey < cut) != truth).mean() for cut in cuts))
        return float(np.mean(wrong))

    plain, old, bad = errors(0.0), errors(1.0), errors(2.0)
    assert plain < old < bad


def test_the_same_state_gives_the_same_scan(truth: Any) -> None:
    assert np.array_equal(degrade(truth, rng(7)), degrade(truth, rng(7)))
    assert not np.array_equal(degrade(truth, rng(7)), degrade(truth, rng(8)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (3, 2), (65, 33)])
@pytest.mark.parametrize("strength", [0.0, 1.0, 4.0])
def test_any_size_and_strength(shape: tuple[int, int], strength: float) -> None:
    for seed in range(3):
        scan = degrade(np.ones(shape, bool), rng(seed), strength)
        assert scan.shape == (*shape, 3)
        assert scan.dtype == np.uint8


@pytest.mark.parametrize(
    ("truth", "options", "message"),
    [
        (np.zeros((4, 4), np.uint8), {}, r"truth of uint8 \(4, 4\), expected bool \(H, W\)"),
        (np.zeros((4, 4, 3), bool), {}, r"truth of bool \(4, 4, 3\), expected bool \(H, W\)"),
        (np.zeros((0, 4), bool), {}, r"truth of bool \(0, 4\)"),
        ([[True]], {}, "truth of list, expected bool"),
        (np.zeros((4, 4), bool), {"strength": -1}, "strength -1, expected a number of at least 0"),
        (np.zeros((4, 4), bool), {"strength": float("nan")}, "strength nan"),
        (np.zeros((4, 4), bool), {"verso": np.zeros((4, 5), bool)}, r"\(4, 5\), expected .* \(4, 4\)"),
    ],
)
def test_what_cannot_be_degraded_is_refused(truth: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        degrade(truth, rng(), **options)


def run_example(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "examples/draw_page.py"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_example_draws_the_same_pair_every_time(tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        done = run_example(f"{name}.png", "--seed=4", "--width=200", "--height=150", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        files = [tmp_path / f"{name}.png", tmp_path / f"{name}_truth.png"]
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert digests[0] == digests[1]
    assert len(list(tmp_path.iterdir())) == 4
    with Image.open(tmp_path / "a.png") as scan, Image.open(tmp_path / "a_truth.png") as truth:
        assert (scan.mode, truth.mode) == ("RGB", "1")
        assert scan.size == truth.size == (200, 150)
        for image in (scan, truth):
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        ink = ~np.asarray(truth)
        grey = np.asarray(scan).mean(axis=2)
    assert 0.02 < ink.mean() < 0.5
    assert grey[ink].mean() < 0.75 * grey[~ink].mean()


def test_the_example_explains_a_bad_size_in_a_line(tmp_path: Path) -> None:
    done = run_example("--width=0", cwd=tmp_path)
    assert done.returncode == 2
    assert "found a page of 0 x 1200 pixels" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_page_in_the_repository_is_a_pair() -> None:
    with (
        Image.open(ROOT / "examples/page.png") as scan,
        Image.open(ROOT / "examples/page_truth.png") as truth,
    ):
        assert scan.size == truth.size
        ink = ~np.asarray(truth)
        grey = np.asarray(scan).mean(axis=2)
    assert grey[ink].mean() < 0.75 * grey[~ink].mean()
