"""Weights of other programs: from a file or a mapping to plain names and tensors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowkit.checkpoint import read_checkpoint
from flowkit.errors import CheckpointError

WRAPPERS = ("params_ema", "params", "state_dict")  # the averaged weights first: they are what is used
PARALLEL = "module."  # what torch's DataParallel puts before every name


def read_state(source: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Tensor]:
    """Read names and tensors from a file (.safetensors, or written by torch.save) or a mapping.

    A wrapper (`params_ema`, `params`, `state_dict`) is opened, and the prefix `module.` cut off. No code in a
    file is run: `torch.load(weights_only=True)`.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it holds something other than tensors.
    """
    if isinstance(source, Mapping):
        return _plain(source, "the state dict")
    path = Path(source)
    if not path.is_file():
        raise CheckpointError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    if path.suffix == ".safetensors":
        return _plain(read_checkpoint(path)[0], str(path))
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on damaged files it raises of all sorts
        # Its messages advise to run the file's code.
        kind = type(error).__name__
        raise CheckpointError(f"{path}: not weights that torch.load can read safely ({kind})") from None
    return _plain(content, str(path))


def _plain(content: Any, origin: str) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{origin}: holds a {type(content).__name__}, expected a mapping of weights")
    wrapper = next((name for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
    state = content if wrapper is None else content[wrapper]
    if not state:
        raise CheckpointError(f"{origin}: holds no weights")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f'{origin}: "{name}" is a {type(value).__name__}, expected a tensor')
    prefix = PARALLEL if all(name.startswith(PARALLEL) for name in state) else ""
    return {name.removeprefix(prefix): value for name, value in state.items()}


def refuse_unknown(unknown: Iterable[str], what: str) -> None:
    """Raise CheckpointError if there is an unknown name; the message has the first."""
    for name in unknown:
        raise CheckpointError(f'{what}: weight "{name}" is not one that this network has')
