"""Initial weights from a checkpoint."""

from __future__ import annotations

import os

from flowkit.checkpoint import MODEL, check_numbers, fill, locate, read_checkpoint, trained_on
from flowkit.encoders.rrdb import RRDB
from flowkit.errors import CheckpointError
from flowkit.flow import ConditionalFlow
from flowkit.interop.rrdb import load_rrdb
from flowkit.training.growth import grown


def start_from(model: ConditionalFlow, source: str | os.PathLike[str]) -> frozenset[str]:
    """Give a model the weights of a flowkit checkpoint of the same model, or its encoder RRDB weights.

    A name stands for shipped weights, as for `load`. Returns the fingerprints of the pages that the weights
    were trained on, if the checkpoint lists them: a model that is trained from these weights has seen those
    pages, too.

    The model may be larger than the checkpoint's, see `grown`; it then computes the same function.

    Raises:
        CheckpointError: the weights do not fit, or are not finite; the first one in question is named.
    """
    path = locate(source)
    if path.suffix == ".safetensors":
        tensors, metadata = read_checkpoint(path, prefix=MODEL)
        if "recipe" in metadata:
            own = model.state_dict()
            for name in tensors.keys() & own.keys():  # before growth adds room for them
                check_numbers(tensors[name], f'{path}: weight "{name}"', own[name].dtype)
            fill(model, grown(model, tensors), path, recipe=metadata["recipe"])
            return trained_on(path)
    if not isinstance(model.encoder, RRDB):
        raise CheckpointError(
            f"{path}: no flowkit checkpoint, and weights of other programs are for encoders of type rrdb"
        )
    load_rrdb(path, model.encoder)
    return frozenset()
