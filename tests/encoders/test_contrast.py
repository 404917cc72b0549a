"""Local contrast, beside its definition written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from flowkit.encoders.contrast import FLOOR, LocalContrast


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (17, 6)])
def test_values_are_those_of_the_definition(size):
    torch.manual_seed(1)
    image = torch.rand(2, 3, 2 * size[0], 2 * size[1], dtype=torch.float64) * 2 - 1
    cells = F.pixel_unshuffle(image, 2)
    out = LocalContrast(3, [3, 9])(cells)
    assert out.shape == (2, 22, *size)
    torch.testing.assert_close(out[:, :12], cells)
    grey = image.mean(1)
    for first, radius in ((12, 1), (17, 4)):
        for y in range(size[0]):
            for x in range(size[1]):
                top, left = max(0, y - radius), max(0, x - radius)
                window = grey[:, 2 * top : 2 * (y + radius + 1), 2 * left : 2 * (x + radius + 1)].flatten(1)
                mean, variance = window.mean(1), window.var(1, correction=0)
                deviation = (variance + FLOOR**2).sqrt()
                pixels = grey[:, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].flatten(1)
                wanted = torch.cat([(pixels - mean[:, None]) / deviation[:, None], deviation[:, None]], 1)
                torch.testing.assert_close(out[:, first : first + 5, y, x], wanted)


def test_light_and_contrast_hardly_matter():
    torch.manual_seed(2)
    page = torch.rand(1, 1, 40, 60, dtype=torch.float64)
    contrast = LocalContrast(1, [5])
    bright, dim = (contrast(F.pixel_unshuffle(2 * p - 1, 2))[:, 4:8] for p in (page, 0.3 + 0.5 * page))
    torch.testing.assert_close(bright, dim, rtol=0.02, atol=0)


def test_half_precision_pages_are_measured_in_single():
    cells = torch.rand(1, 4, 20, 30) * 0.02 + 0.9
    low = LocalContrast(1, [5])(cells.bfloat16().float())
    torch.testing.assert_close(LocalContrast(1, [5])(cells.bfloat16()).float(), low, rtol=0.01, atol=0.01)
