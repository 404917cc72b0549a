"""Random patches of training pages: (image, target) batches for the two tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flowkit.data.degradations import degradations_from
from flowkit.data.paired import Page
from flowkit.errors import DataError

INK_SHARE = 0.005  # a patch with less ink is mostly paper ...
PAPER_KEPT = 0.25  # ... of which this share is enough


class BinarizationPatches:
    """Patches of pages with truth: image (n, 3, p, p) in [0, 1], ink (n, 1, p, p) of zeros and ones.

    Pages are drawn by the square root of their area, patches that show ink are preferred, and each is
    flipped, rotated by quarter turns, shone through by another page now and then, and varied in light.

    Args:
        pages: with truth.
        patch: side, in pixels.
        rng: the only source of randomness; its state is the sampler's.
    """

    def __init__(self, pages: Sequence[Page], patch: int, rng: np.random.Generator) -> None:
        if not pages or any(page.ink is None for page in pages):
            raise DataError("binarization is trained on pages with truth")
        self.rng = rng
        self.patch = patch
        self.degrade = degradations_from("light")
        self.images = [_at_least(page.image, patch) for page in pages]
        self.inks = [_at_least(page.ink, patch) for page in pages if page.ink is not None]
        self.weights = _by_area(self.images)

    def batch(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw n patches."""
        pairs = [self._one() for _ in range(n)]
        image = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2)
        ink = torch.from_numpy(np.stack([ink for _, ink in pairs]))[:, None].float()
        return image.contiguous(memory_format=torch.channels_last), ink

    def _one(self) -> tuple[np.ndarray, np.ndarray]:
        while True:
            image, ink = self._crop()
            if ink.mean() >= INK_SHARE or self.rng.random() < PAPER_KEPT:
                break
        image = self.degrade(image.astype(np.float32) / np.float32(255), self.rng, ink=ink, other=self._other)
        turns, mirrored = int(self.rng.integers(4)), self.rng.random() < 0.5
        return _turn(image, turns, mirrored), _turn(ink, turns, mirrored)

    def _other(self) -> np.ndarray:
        return self._crop()[0].astype(np.float32) / 255

    def _crop(self) -> tuple[np.ndarray, np.ndarray]:
        page = self.rng.choice(len(self.images), p=self.weights)
        window = _window(self.images[page], self.patch, self.rng)
        return self.images[page][window], self.inks[page][window]


class SuperResolutionPatches:
    """Patches of pages and the same, smaller: low (n, 3, p/s, p/s) and high (n, 3, p, p), in [0, 1].

    The low resolution is made from the patch by antialiased bicubic reduction.

    Args:
        pages: at high resolution.
        patch: side of the high-resolution patch, in pixels; a multiple of `scale`.
        scale: the factor between the two.
        rng: the only source of randomness; its state is the sampler's.
    """

    def __init__(self, pages: Sequence[Page], patch: int, scale: int, rng: np.random.Generator) -> None:
        if not pages:
            raise DataError("super-resolution is trained on at least one page")
        if patch % scale:
            raise DataError(f"the patch ({patch}) must be a multiple of the scale ({scale})")
        self.rng = rng
        self.patch = patch
        self.low = patch // scale
        self.images = [_at_least(page.image, patch) for page in pages]
        self.weights = _by_area(self.images)

    def batch(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw n patches."""
        pairs = [self._one() for _ in range(n)]
        low, high = (
            torch.from_numpy(np.stack(side)).permute(0, 3, 1, 2).float() / 255
            for side in zip(*pairs, strict=True)
        )
        return low.contiguous(memory_format=torch.channels_last), high.contiguous()

    def _one(self) -> tuple[np.ndarray, np.ndarray]:
        image = self.images[self.rng.choice(len(self.images), p=self.weights)]
        crop = image[_window(image, self.patch, self.rng)]
        high = _turn(crop, int(self.rng.integers(4)), self.rng.random() < 0.5)
        low = Image.fromarray(high).resize((self.low, self.low), Image.Resampling.BICUBIC)
        return np.asarray(low), high


def _at_least(array: np.ndarray, side: int) -> np.ndarray:
    missing = [(0, max(0, side - n)) for n in array.shape[:2]]
    return np.pad(array, [*missing, *[(0, 0)] * (array.ndim - 2)], mode="symmetric")


def _by_area(images: Sequence[np.ndarray]) -> np.ndarray:
    weights = np.sqrt([image.shape[0] * image.shape[1] for image in images])
    return np.asarray(weights / weights.sum())


def _window(array: np.ndarray, side: int, rng: np.random.Generator) -> tuple[slice, slice]:
    top, left = (int(rng.integers(n - side + 1)) for n in array.shape[:2])
    return slice(top, top + side), slice(left, left + side)


def _turn(array: np.ndarray, turns: int, mirrored: bool) -> np.ndarray:
    turned = np.rot90(array, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)
