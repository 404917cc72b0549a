"""Weights to start from, in place of random ones."""

from __future__ import annotations

import os

import torch.nn.functional as F
from torch import Tensor

from flowkit.checkpoint import MODEL, fill, locate, read_checkpoint, trained_on
from flowkit.encoders.rrdb import RRDB
from flowkit.errors import CheckpointError
from flowkit.flow import ConditionalFlow
from flowkit.interop.rrdb import load_rrdb


def start_from(model: ConditionalFlow, source: str | os.PathLike[str]) -> frozenset[str]:
    """Give a model the weights of a flowkit checkpoint of the same model, or its encoder RRDB weights.

    A name stands for weights that ship, as for `load`. Returns the fingerprints of the pages that the weights
    were trained on, so far as they say so: what is trained from them has seen those pages, too.

    A convolution may read more channels than the checkpoint's, after those: their weights begin at 0, and the
    model computes what the checkpoint's did.

    Raises:
        CheckpointError: the weights do not fit; the first one in question is named.
    """
    path = locate(source)
    if path.suffix == ".safetensors":
        tensors, metadata = read_checkpoint(path, prefix=MODEL)
        if "recipe" in metadata:
            own = model.state_dict()
            fill(model, {k: _widened(v, own[k]) if k in own else v for k, v in tensors.items()}, path)
            return trained_on(path)
    if not isinstance(model.encoder, RRDB):
        raise CheckpointError(
            f"{path}: no flowkit checkpoint, and weights of other programs are for encoders of type rrdb"
        )
    load_rrdb(path, model.encoder)
    return frozenset()


def _widened(kernel: Tensor, own: Tensor) -> Tensor:
    """A convolution's kernel (O, C, k, k), with zeros for the further channels that `own` reads."""
    more = own.shape[1] - kernel.shape[1] if kernel.ndim == own.ndim == 4 else 0
    return F.pad(kernel, (0, 0, 0, 0, 0, more)) if more > 0 else kernel
