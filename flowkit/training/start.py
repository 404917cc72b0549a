"""Weights to start from, in place of random ones."""

from __future__ import annotations

import os
from pathlib import Path

from flowkit.checkpoint import MODEL, fill, read_checkpoint
from flowkit.encoders.rrdb import RRDB
from flowkit.errors import CheckpointError
from flowkit.flow import ConditionalFlow
from flowkit.interop.rrdb import load_rrdb


def start_from(model: ConditionalFlow, source: str | os.PathLike[str]) -> None:
    """Give a model the weights of a flowkit checkpoint of the same model, or its encoder RRDB weights.

    Raises:
        CheckpointError: the weights do not fit; the first one in question is named.
    """
    path = Path(source)
    if path.suffix == ".safetensors":
        tensors, metadata = read_checkpoint(path, prefix=MODEL)
        if "recipe" in metadata:
            fill(model, tensors, path)
            return
    if not isinstance(model.encoder, RRDB):
        raise CheckpointError(
            f"{path}: no flowkit checkpoint, and weights of other programs are for encoders of type rrdb"
        )
    load_rrdb(path, model.encoder)
