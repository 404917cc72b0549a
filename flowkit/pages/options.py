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
        pdf_dpi: dots per inch that pages of PDF files are drawn at; None: those of their images, see `read`.
        pdf_password: where the password of encrypted PDF files is to be read, "file:PATH" or "env:NAME".
        precision: of the encoders.
    """

    temperature: float | None = None
    samples: int = 1
    seed: int = 0
    memory: int = MEMORY
    max_pixels: int = MAX_PIXELS
    pdf_dpi: float | None = None
    pdf_password: str | None = None
    precision: Precision = "float32"
