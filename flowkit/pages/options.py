"""Options that `binarize`, `upscale` and batches share."""

from __future__ import annotations

from dataclasses import dataclass

from flowkit.images.reader import MAX_PIXELS
from flowkit.pages.memory import MEMORY
from flowkit.pages.precision import Precision


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Options of sampling, memory and precision; see `flowkit.pages.binarize` for each.

    Attributes:
        temperature: standard deviation of the samples' latents; None: 0 for one sample, 1 for more.
        samples: 1 or more.
        seed: of the latents, 0 or more.
        memory: bytes that a process may need at its highest.
        max_pixels: files that hold more are refused before they are decoded.
        precision: of encoders and networks.
    """

    temperature: float | None = None
    samples: int = 1
    seed: int = 0
    memory: int = MEMORY
    max_pixels: int = MAX_PIXELS
    precision: Precision = "auto"
