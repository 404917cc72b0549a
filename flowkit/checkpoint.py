"""Checkpoints: safetensors files that contain the resolved recipe and need no other file."""

from __future__ import annotations

import importlib.resources
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from flowkit import hub
from flowkit.errors import CheckpointError, FlowkitError, OutputError, suggest
from flowkit.files import replacing
from flowkit.flow import ConditionalFlow
from flowkit.recipe import build, read_recipe_text
from flowkit.recipe.document import dotted, short
from flowkit.recipe.find import load_text, model_name

TRAIN_PAGES = "train_pages"  # metadata: a JSON list of fingerprints
RUN_PAGES = "run_pages"  # the same, of the last training alone
MODEL = "model/"  # the prefix of the weights to use; a training checkpoint holds more beside them


def load(name_or_path: str | os.PathLike[str]) -> ConditionalFlow:
    """Load a trained model, in eval mode: weights that ship with flowkit, by name, or a checkpoint.

    A folder stands for the `model.safetensors` in it, and `hf://owner/name` for that of a repository of the
    Hugging Face hub (see `flowkit.hub`).

    In names `_` and `-` are the same. The model is the one that `build` makes of the recipe of that name.

    Raises:
        CheckpointError: there is no such file, it is damaged, it does not fit its own recipe, or a weight is
            not a finite real number.

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
    """Read the fingerprints (`flowkit.data.fingerprint`) of the pages that a model was trained on.

    Args:
        name_or_path: as for `load`.
        last: only those of its last training, if the file distinguishes them from those of its initial
            weights.

    Returns:
        the fingerprints; none if the file lists none.

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


def save(
    model: ConditionalFlow,
    path: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    pages: Iterable[str] = (),
) -> None:
    """Write a model that `load` reads back: whole, or not at all.

    Args:
        model: made by `build`.
        path: the file.
        dtype: dtype of the floating-point weights in the file, such as float16, see `pack`; by default
            unchanged.
        pages: fingerprints of the pages that it was trained on, see `trained_on`.

    Raises:
        CheckpointError: `load` would refuse the file: no recipe describes the model, a weight is not finite,
            or weights are not those of the recipe (one more or less, another shape or kind of number).
        OutputError: the file cannot be written.
    """
    if model.recipe is None:
        raise CheckpointError(f"{path}: a model that no recipe describes cannot be loaded again; use `build`")
    with torch.random.fork_rng(devices=[]):  # building draws weights; the caller's numbers stay as they are
        expected = build(read_recipe_text(model.recipe)).state_dict()
    state = model.state_dict()
    if misfit := _misfit(expected, state, "its recipe"):
        raise CheckpointError(f"{path} was not written, load would refuse it: {misfit}")
    seen = {TRAIN_PAGES: json.dumps(sorted(pages))} if pages else {}
    write_checkpoint(path, pack(state, dtype=dtype), {"recipe": model.recipe, **seen})


def pack(state: Mapping[str, Tensor], *, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Rename the tensors of a state dict to what `load` looks for.

    With `dtype`, floating-point tensors are converted, except those with values beyond its range.
    """
    return {MODEL + k: v if dtype is None else _converted(v, dtype) for k, v in state.items()}


def _converted(value: Tensor, dtype: torch.dtype) -> Tensor:
    if not value.is_floating_point():
        return value
    low = value.to(dtype)
    return low if bool(low.to(value.dtype).isfinite().all()) else value


def fill(
    model: ConditionalFlow,
    tensors: Mapping[str, Tensor],
    origin: str | os.PathLike[str],
    *,
    recipe: str | None = None,
) -> None:
    """Give a model the weights of a checkpoint, all or none.

    Args:
        model: what to fill.
        tensors: weights by name, as in its state dict.
        origin: the checkpoint, for messages.
        recipe: the checkpoint's own, as text, where the model was built from another.

    Raises:
        CheckpointError: the weights do not fit; the message names both models, if they are two, and the
            first weight that is missing, not known, of another shape or kind of number, or not finite.
    """
    misfit = _misfit(model.state_dict(), tensors)
    if misfit:
        models = _two_models(recipe, model.recipe) if recipe and model.recipe else None
        raise CheckpointError(": ".join(part for part in (str(origin), models, misfit) if part))
    model.load_state_dict(dict(tensors))


def _misfit(own: Mapping[str, Tensor], found: Mapping[str, Tensor], owner: str = "the model") -> str | None:
    for name in sorted(own.keys() | found.keys()):
        if name not in found:
            return f'weight "{name}" is missing'
        if name not in own:
            return f'holds weight "{name}", which {owner} does not have'
        if own[name].shape != found[name].shape:
            return f'weight "{name}" is {tuple(found[name].shape)}, expected {tuple(own[name].shape)}'
        if why := _unusable(found[name], own[name].dtype):
            return f'weight "{name}" {why}'
    return None


def check_numbers(value: Tensor, what: str, dtype: torch.dtype = torch.float32) -> None:
    """Refuse a weight that a tensor of `dtype` cannot hold: of another kind of number, or not finite there.

    Any floating-point type serves where one is expected; whole numbers and booleans must be of `dtype`.

    Raises:
        CheckpointError: begins with `what`.
    """
    if why := _unusable(value, dtype):
        raise CheckpointError(f"{what} {why}")


def _unusable(value: Tensor, dtype: torch.dtype) -> str | None:
    if value.dtype != dtype and not (value.is_floating_point() and dtype.is_floating_point):
        kind = " or another floating-point type" if dtype.is_floating_point else ""
        return f"is {value.dtype}, expected {dtype}{kind}"
    wrong = int((~value.to(dtype).isfinite()).sum()) if value.is_floating_point() else 0
    return f"has {wrong:,} of {value.numel():,} values that are not finite" if wrong else None


def _two_models(found: str, expected: str) -> str | None:
    """Name the recipes of two models; where the names are the same, the first option that is not."""
    theirs, ours = (load_text(text, "a recipe").data for text in (found, expected))
    names = [data.get("name", "unnamed") for data in (theirs, ours)]
    if names[0] != names[1]:
        return f'is a model of recipe "{names[0]}", expected one of "{names[1]}"'
    for section in ("vars", "target", "encoder", "flow"):
        if place := _difference(theirs.get(section), ours.get(section), (section,)):
            return f'is a model of recipe "{names[0]}" with {place}'
    return None


def _difference(found: Any, expected: Any, path: tuple[str | int, ...]) -> str | None:
    if type(found) is type(expected) and isinstance(found, dict):
        pairs = [(key, found.get(key), expected.get(key)) for key in {**found, **expected}]
    elif type(found) is type(expected) and isinstance(found, list) and len(found) == len(expected):
        pairs = [(index, found[index], expected[index]) for index in range(len(found))]
    elif found == expected:
        return None
    else:
        return f"{dotted(path)} {short(found)}, expected {short(expected)}"
    differences = (_difference(there, here, (*path, key)) for key, there, here in pairs)
    return next((text for text in differences if text), None)


def read_checkpoint(
    path: str | os.PathLike[str], *, prefix: str = ""
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors whose names start with `prefix`, which is cut off, and the metadata of a file.

    Raises:
        CheckpointError: there is no such file, or it is not a complete safetensors file.
    """
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
    """Write a safetensors file: whole, or not at all. The same contents give the same bytes.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with replacing(path) as draft:
            save_file(_apart(tensors), draft, dict(metadata))
            _sort_metadata(draft)
    except SafetensorError as error:
        raise OutputError(f"{path}: cannot be written ({error})") from None


def _sort_metadata(path: Path) -> None:
    """Put a safetensors file's metadata in the order of their names; the library writes them in any.

    The header (its length in 8 bytes, then JSON without spaces) keeps its length: it says the same.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header = {"__metadata__": dict(sorted(header.pop("__metadata__", {}).items())), **header}
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(length)
        if len(text) != length:
            raise SafetensorError(f"its header became {len(text)} bytes, expected {length}")
        file.seek(8)
        file.write(text)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy what is not contiguous, and what shares memory with another tensor, as tied weights do."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().contiguous()
        place = value.untyped_storage().data_ptr()
        found[name] = value.clone() if place in seen else value
        seen.add(place)
    return found


def shipped_weights() -> dict[str, Path]:
    """List the weights that travel with the package: name -> file."""
    folder = Path(str(importlib.resources.files("flowkit"))) / "weights"
    return {model_name(file.stem): file for file in sorted(folder.glob("*.safetensors"))}


def locate(name_or_path: str | os.PathLike[str]) -> Path:
    """Find the file that a name, a path or an `hf://` address stands for.

    Raises:
        CheckpointError: there is none.
    """
    text = os.fspath(name_or_path)
    if hub.is_address(text):
        return hub.download(text)
    if Path(text).is_file():
        return Path(text)
    shipped, name = shipped_weights(), model_name(text)
    if name in shipped:
        return shipped[name]
    if Path(text).is_dir():
        inside = Path(text) / hub.WEIGHTS
        if inside.is_file():
            return inside
        raise CheckpointError(f"{text}: is a folder without {hub.WEIGHTS}; name a .safetensors file")
    if Path(text).suffix or os.sep in text:
        raise CheckpointError(f"{text}: no such file")
    raise CheckpointError(f'no weights called "{text}" ship with flowkit; {suggest(name, shipped)}')
