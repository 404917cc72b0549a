from __future__ import annotations

import numpy as np
import pytest
import torch

from flowkit.data import BinarizationPatches, Page, SuperResolutionPatches
from flowkit.errors import DataError


def page(height: int, width: int, seed: int = 0) -> Page:
    """Dark squares on light paper: image and ink can be told from one another."""
    ink = np.kron(
        np.random.default_rng(seed).random((height // 8 + 1, width // 8 + 1)) < 0.3, np.ones((8, 8))
    )
    ink = ink[:height, :width] > 0
    return Page("page", np.repeat(np.where(ink, 40, 210).astype(np.uint8)[:, :, None], 3, 2), ink)


def test_patches_repeat_with_their_seed():
    first, second = (
        BinarizationPatches([page(90, 70), page(30, 200, 1)], 48, np.random.default_rng(4)) for _ in range(2)
    )
    for a, b in zip(first.batch(5), second.batch(5), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.batch(1)[0], first.batch(1)[0])


def test_image_and_ink_stay_together_through_every_turn():
    image, ink = BinarizationPatches([page(90, 70)], 48, np.random.default_rng(0)).batch(40)
    assert image.shape == (40, 3, 48, 48)
    assert ink.shape == (40, 1, 48, 48)
    assert set(ink.unique().tolist()) == {0.0, 1.0}
    assert image.min() >= 0
    assert image.max() <= 1
    for grey, truth in zip(image.mean(1), ink[:, 0] > 0.5, strict=True):
        assert grey[truth].mean() < grey[~truth].mean() - 0.1


def test_patches_with_ink_are_preferred():
    empty = np.zeros((400, 400), bool)
    empty[:40, :40] = True
    pages = [Page("mostly paper", np.full((400, 400, 3), 200, np.uint8), empty)]
    _, ink = BinarizationPatches(pages, 32, np.random.default_rng(0)).batch(200)
    with_ink = (ink.mean((1, 2, 3)) > 0).float().mean()
    assert 0.03 < with_ink < 0.5  # by area alone it would be 0.02


def test_small_pages_are_continued_by_reflection():
    image, ink = BinarizationPatches([page(20, 30)], 64, np.random.default_rng(0)).batch(2)
    assert image.shape[2:] == ink.shape[2:] == (64, 64)


def test_low_resolution_is_the_reduced_high_one():
    low, high = SuperResolutionPatches([page(90, 70)], 48, 4, np.random.default_rng(0)).batch(3)
    assert low.shape == (3, 3, 12, 12)
    assert high.shape == (3, 3, 48, 48)
    means = torch.nn.functional.avg_pool2d(high, 4)
    assert (low - means).abs().mean() < 0.03


def test_what_cannot_be_cut():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="pages with truth"):
        BinarizationPatches([Page("x", page(20, 20).image)], 16, rng)
    with pytest.raises(DataError, match=r"the patch \(30\) must be a multiple of the scale \(4\)"):
        SuperResolutionPatches([page(40, 40)], 30, 4, rng)
    with pytest.raises(DataError, match="at least one page"):
        SuperResolutionPatches([], 32, 4, rng)
