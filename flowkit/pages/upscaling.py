"""Pages made larger: samples of what the page was before it was scanned too coarsely."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from flowkit.flow import ConditionalFlow
from flowkit.pages.binary import Progress
from flowkit.pages.models import Model, flow_for
from flowkit.pages.reading import MAX_PIXELS, ImageLike
from flowkit.pages.resolution import Dpi
from flowkit.pages.sampling import MEMORY
from flowkit.pages.writing import write_picture
from flowkit.targets import Continuous


@dataclass(frozen=True)
class UpscaledPage:
    """A page of H x W pixels, enlarged by the model's scale.

    Attributes:
        image: (H, W) grey or (H, W, 3) RGB, uint8, as the page was; of several samples their mean, which is
            sure, but blurred where they differ.
        samples: (N, H, W) or (N, H, W, 3) uint8, if they were kept.
        dpi: dots per inch across and down, those of the page times the model's scale; None where the image
            did not say.
        notes: what its user should know about the reading of the image, one sentence each.
    """

    image: NDArray[np.uint8]
    samples: NDArray[np.uint8] | None = None
    dpi: Dpi = None
    notes: tuple[str, ...] = ()

    def save(self, path: str | PathLike[str]) -> None:
        """Write the image: without loss to .png, .tif, .pdf, .webp or .jp2, or to .jpg. Keeps the dpi.

        Raises:
            OutputError: another suffix, or a place that cannot be written to; nothing half-written is left.
        """
        write_picture(path, self.image, self.dpi, lossy=True)


def upscale(
    image: ImageLike,
    *,
    model: Model,
    temperature: float | None = None,
    samples: int = 1,
    seed: int = 0,
    memory: int = MEMORY,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
    keep_samples: bool = False,
) -> UpscaledPage:
    """Enlarge a page of any size by a model's scale (1 for a model that restores).

    Args:
        image: a file, a Pillow image, or an array or tensor of (H, W), (H, W, 3) or (3, H, W).
        model: a model that ships with the package, a checkpoint, or a flow with a continuous target of one or
            three channels. One channel: of a page in colour it makes the luma, and the colour is enlarged by
            bicubic interpolation. Three: a grey page comes out grey.
        temperature: standard deviation of the latents, 0 or more; by default 0 for one sample, 1 for more.
        samples: 1 or more; the image is their mean.
        seed: of the latents, 0 or more; the same seed gives the same page.
        memory: bytes that the process may need at its highest, the decoded page and all results included.
        max_pixels: files that hold more are refused before they are decoded.
        progress: called with the steps done and the steps in all.
        keep_samples: keep the samples themselves.

    Raises:
        ImageError: the image cannot be read.
        CheckpointError: the model cannot be loaded, or its target is not continuous with 1 or 3 channels.
        MemoryLimitError: the page does not fit into `memory`.
        ValueError: an argument is out of its range, or many samples are wanted at temperature 0.
    """
    flow = load_continuous(model)
    raise NotImplementedError


def load_continuous(model: Model) -> ConditionalFlow:
    """The flow that is meant; its target must be continuous, of one channel or three.

    Raises:
        CheckpointError: it cannot be loaded, or has another target.
    """
    return flow_for(model, Continuous, (1, 3))
