"""Kinds of low resolution that super-resolution is scored at: clean reductions, and what cameras do."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowkit.data.tasks import Kernel, reduce
from flowkit.degradations import Degradation
from flowkit.degradations.noise import Noise
from flowkit.degradations.optics import Defocus, Jpeg
from flowkit.degradations.texture import to_uint8
from flowkit.degradations.tone import LUMA

Image8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Low:
    """A way to make the small image.

    Attributes:
        about: a description for the report; lengths are in pixels of low resolution.
        kernel: of the antialiased reduction.
        worse: the degradation of the reduced image.
    """

    about: str
    kernel: Kernel = "bicubic"
    worse: tuple[Degradation, ...] = ()

    def make(self, high: Image8, scale: int, seed: int) -> Image8:
        """Return the small image, (h, w) or (h, w, 3) as the large one.

        Random numbers depend only on the seed and the small image, so that a page has the same noise in any
        set.
        """
        low = reduce(high, scale, self.kernel)
        if not self.worse:
            return low
        rng = np.random.default_rng([seed, zlib.crc32(low.tobytes())])
        values = low.astype(np.float32) / np.float32(255)
        if low.ndim == 2:
            values = np.repeat(values[..., None], 3, axis=2)
        for degradation in self.worse:
            values = degradation(values, rng)
        return to_uint8(values if low.ndim == 3 else np.asarray(values @ LUMA, np.float32))


PLAIN = "bicubic"
"""The kind on which all models of flowkit are trained."""

KINDS = {
    PLAIN: Low("antialiased bicubic reduction"),
    "box": Low("reduction by the mean of a square", "box"),
    "lanczos": Low("antialiased Lanczos reduction", "lanczos"),
    "blurred": Low("bicubic, then a Gaussian blur of sigma 0.8", worse=(Defocus(sigma=(0.8, 0.8)),)),
    "noisy": Low("bicubic, then noise of 3 % on white", worse=(Noise(level=(0.03, 0.03)),)),
    "jpeg": Low("bicubic, then a JPEG file of quality 60", worse=(Jpeg(quality=(60, 60)),)),
    "phone": Low(
        "bicubic, then a blur of sigma 0.6, noise of 2 %, a JPEG file of quality 60",
        worse=(Defocus(sigma=(0.6, 0.6)), Noise(level=(0.02, 0.02)), Jpeg(quality=(60, 60))),
    ),
}
