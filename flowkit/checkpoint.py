"""Weights on disk: safetensors with the resolved recipe inside, so that a checkpoint needs no other file."""

from __future__ import annotations

import importlib.resources
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from flowkit.errors import CheckpointError, FlowkitError, OutputError, suggest
from flowkit.files import replacing
from flowkit.flow import ConditionalFlow
from flowkit.recipe import build, read_recipe_text

TRAIN_PAGES = "train_pages"  # metadata: a JSON list of fingerprints
RUN_PAGES = "run_pages"  # the same, of the last training alone
MODEL = "model/"  # the prefix of the weights to use; a training checkpoint holds more beside them


def load(name_or_path: str | os.PathLike[str]) -> ConditionalFlow:
    """A trained model, in eval mode: by the name of weights that ship with flowkit, or from a checkpoint.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it does not fit its own recipe.

    >>> model = load("binarize")
    >>> model.training
    False
    """
    path = locate(name_or_path)
    tensors, metadata = read_checkpoint(path, prefix=MODEL)
    if "recipe" not in metadata:
        raise CheckpointError(f"{path}: holds no recipe; flowkit's own checkpoints do")
    try:
        model = build(read_recipe_text(metadata["recipe"], origin=str(path)))
    except FlowkitError as error:
        raise CheckpointError(f"{path}: its recipe cannot be built: {error}") from None
    fill(model, tensors, path)
    return model.eval()


def trained_on(name_or_path: str | os.PathLike[str], *, last: bool = False) -> frozenset[str]:
    """Fingerprints (`flowkit.data.fingerprint`) of the pages that a model was trained on, if it says so.

    Args:
        name_or_path: as for `load`.
        last: in its last training alone, where the file tells that from those of the weights it began with.

    Raises:
        CheckpointError: as `load`, or the list is damaged.
    """
    path = locate(name_or_path)
    _, metadata = read_checkpoint(path, prefix=TRAIN_PAGES)
    key = RUN_PAGES if last and RUN_PAGES in metadata else TRAIN_PAGES
    try:
        pages = json.loads(metadata.get(key, "[]"))
    except ValueError:
        pages = None
    if not isinstance(pages, list):
        raise CheckpointError(f'{path}: its metadata "{key}" is not a list of fingerprints')
    return frozenset(pages)


def save(model: ConditionalFlow, path: str | os.PathLike[str], *, dtype: torch.dtype | None = None) -> None:
    """Write a model that `load` reads back, atomically; `dtype` (float16, say) for what is floating point."""
    if model.recipe is None:
        raise CheckpointError(f"{path}: a model that no recipe describes cannot be loaded again; use `build`")
    write_checkpoint(path, pack(model.state_dict(), dtype=dtype), {"recipe": model.recipe})


def pack(state: Mapping[str, Tensor], *, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """The tensors of a state dict, under the names that `load` looks for."""
    return {MODEL + k: v.to(dtype) if dtype and v.is_floating_point() else v for k, v in state.items()}


def fill(model: ConditionalFlow, tensors: Mapping[str, Tensor], origin: str | os.PathLike[str]) -> None:
    """Give a model the weights of a checkpoint, all or none.

    Raises:
        CheckpointError: a weight is missing, not known, or of another shape; the first is named.
    """
    own = model.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        if name not in tensors:
            raise CheckpointError(f'{origin}: weight "{name}" is missing')
        if name not in own:
            raise CheckpointError(f'{origin}: holds weight "{name}", which its recipe does not have')
        if own[name].shape != tensors[name].shape:
            raise CheckpointError(
                f'{origin}: weight "{name}" is {tuple(tensors[name].shape)}, '
                f"expected {tuple(own[name].shape)}"
            )
    model.load_state_dict(dict(tensors))


def read_checkpoint(
    path: str | os.PathLike[str], *, prefix: str = ""
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors whose names start with `prefix` (cut off), and the metadata, of a safetensors file."""
    if not Path(path).is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            found = {k[len(prefix) :]: file.get_tensor(k) for k in file.keys() if k.startswith(prefix)}  # noqa: SIM118
            return found, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a complete safetensors file ({error})") from None


def write_checkpoint(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file: whole, or not at all."""
    try:
        with replacing(path) as draft:
            save_file({k: v.detach().contiguous() for k, v in tensors.items()}, draft, dict(metadata))
    except SafetensorError as error:
        raise OutputError(f"{path}: cannot be written ({error})") from None


def shipped_weights() -> dict[str, Path]:
    """The models that travel with the package: name -> file."""
    folder = Path(str(importlib.resources.files("flowkit"))) / "weights"
    return {file.stem: file for file in sorted(folder.glob("*.safetensors"))}


def locate(name_or_path: str | os.PathLike[str]) -> Path:
    """The file that a name or a path stands for. Raises CheckpointError where there is none."""
    text = os.fspath(name_or_path)
    if Path(text).is_file():
        return Path(text)
    shipped = shipped_weights()
    if text in shipped:
        return shipped[text]
    if Path(text).is_dir():
        raise CheckpointError(f"{text}: is a folder; name a .safetensors file")
    if Path(text).suffix or os.sep in text:
        raise CheckpointError(f"{text}: no such file")
    raise CheckpointError(f'no weights called "{text}" ship with flowkit; {suggest(text, shipped)}')
