from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from flowkit.data.tasks import reduce
from flowkit.errors import DataError
from flowkit.metrics import super_resolution as metrics


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (7, 9, 3), np.uint8)
    truth = np.asarray(Image.fromarray(small).resize((36, 28), Image.Resampling.BICUBIC))
    return np.clip(truth + rng.normal(0, 9, truth.shape), 0, 255).astype(np.uint8), truth


def test_psnr_is_of_luma(pair):
    image, truth = pair
    y = [0.299 * a[..., 0] + 0.587 * a[..., 1] + 0.114 * a[..., 2] for a in (image.astype(float), truth)]
    assert metrics.psnr(image, truth) == pytest.approx(10 * math.log10(255**2 / ((y[0] - y[1]) ** 2).mean()))
    assert metrics.psnr(truth, truth) == math.inf


def test_ssim_window_by_window(pair):
    image, truth = pair
    x, y = metrics.luma(image), metrics.luma(truth)
    ramp = np.arange(-5, 6)
    weights = np.exp(-(ramp[:, None] ** 2 + ramp**2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2 = 6.5025, 58.5225
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (m[top : top + 11, left : left + 11] for m in (x, y))
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            cov = (weights * (a - ma) * (b - mb)).sum()
            values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    assert metrics.ssim(image, truth) == pytest.approx(np.mean(values), rel=1e-9)
    assert metrics.ssim(image, truth) == pytest.approx(metrics.ssim(truth, image), rel=1e-12)
    assert metrics.ssim(truth, truth) == pytest.approx(1)
    assert metrics.ssim(255 - truth, truth) < 0


def test_scores_of_a_part(pair):
    image, truth = pair
    where = np.zeros(truth.shape[:2], bool)
    where[3:17, 9:25] = True
    # all windows of the piece with 5 more pixels around, or as many as there are, have their middle in it
    assert metrics.psnr(image, truth, where) == pytest.approx(
        metrics.psnr(image[3:17, 9:25], truth[3:17, 9:25])
    )
    piece = np.s_[:22, 4:30]
    assert metrics.ssim(image, truth, where) == pytest.approx(metrics.ssim(image[piece], truth[piece]))
    assert metrics.psnr(image, truth, np.ones_like(where)) == metrics.psnr(image, truth)
    edge = np.zeros_like(where)
    edge[0, 0] = True
    with pytest.raises(DataError, match="no window whose middle counts"):
        metrics.ssim(image, truth, edge)
    for wrong in (where[1:], ~np.ones_like(where)):
        with pytest.raises(DataError, match="expected a mask"):
            metrics.psnr(image, truth, wrong)


def test_an_image_is_consistent_with_what_it_was_reduced_to(pair):
    _, truth = pair
    low = reduce(truth, 4)
    assert metrics.consistency(truth, low, 4) == math.inf
    brighter = np.clip(truth.astype(int) + 10, 0, 255).astype(np.uint8)
    assert 20 < metrics.consistency(brighter, low, 4) < 40
    with pytest.raises(DataError, match="expected 2 times the size"):
        metrics.consistency(truth, low, 2)


def test_diversity_is_in_grey_levels():
    samples = np.full((3, 4, 5, 3), 100, np.uint8)
    assert metrics.diversity(samples) == 0
    samples[0] += 6
    samples[1] += 3
    assert metrics.diversity(samples) == pytest.approx(3)
    with pytest.raises(DataError, match="2 samples or more, got 1"):
        metrics.diversity(samples[:1])


def test_grey_images_have_the_scores_of_their_grey_colours(pair):
    image, truth = (array[..., 0] for array in pair)
    assert metrics.psnr(image, truth) == pytest.approx(
        metrics.psnr(*(np.stack([a] * 3, -1) for a in (image, truth)))
    )


def test_what_cannot_be_compared(pair):
    image, truth = pair
    with pytest.raises(DataError, match=r"image is \(28, 35\), but truth is \(28, 36\)"):
        metrics.psnr(image[:, 1:], truth)
    with pytest.raises(DataError, match="truth must be 8-bit"):
        metrics.psnr(image, truth / 255)
    with pytest.raises(DataError, match="11 x 11 pixels or more"):
        metrics.ssim(image[:10], truth[:10])
