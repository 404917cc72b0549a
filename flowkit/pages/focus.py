"""The part of a page that is worth super-resolving: around possible ink."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from flowkit.errors import CheckpointError
from flowkit.flow import ConditionalFlow
from flowkit.images.picture import Picture
from flowkit.pages.ink import binarize, load_binary
from flowkit.pages.memory import MEMORY
from flowkit.pages.models import Model
from flowkit.pages.precision import Precision

SAMPLES = 8
LEAST = 0.25
"""Least P(ink) that counts: faint strokes do, a speck in a single sample does not."""

AROUND = 6
"""Pixels around ink that belong to it: its edge, and the shadow of the edge in a scan."""

FADE = 2
"""Pixels on either side of the fade from one method to the other, so that no border shows."""


def ink_mask(
    picture: Picture,
    model: Model = "binarize",
    *,
    seed: int = 0,
    memory: int = MEMORY,
    precision: Precision = "auto",
) -> Picture:
    """Return a grey mask of the page's size: 255 at ink, 0 if no ink is within AROUND + FADE pixels.

    Args:
        picture: the page.
        model: with a binary target, at scale 1; P(ink) is the share of its samples.
        seed: of the samples.
        memory: bytes that the process may need at its highest.
        precision: see `flowkit.pages.binarize`.

    Raises:
        CheckpointError: the model cannot be loaded, has another target, or enlarges.
        MemoryLimitError: the page does not fit into `memory`.
    """
    votes = binarize(
        picture, model=load_ink(model), samples=SAMPLES, seed=seed, memory=memory, precision=precision
    ).votes
    assert votes is not None
    near = ndimage.maximum_filter(votes >= LEAST * SAMPLES, 2 * AROUND + 1)
    levels = ndimage.uniform_filter(near.astype(np.uint8) * np.uint8(255), 2 * FADE + 1, mode="nearest")
    return Picture(levels[..., None])


def load_ink(model: Model) -> ConditionalFlow:
    """Return the flow that finds ink, of a binary target at scale 1.

    Raises:
        CheckpointError: it cannot be loaded, or is another.
    """
    flow = load_binary(model)
    if flow.scale != 1:
        raise CheckpointError(f"the model of ink enlarges {flow.scale} times, expected scale 1")
    return flow
