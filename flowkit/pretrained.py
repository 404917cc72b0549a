"""Models in folders and on the Hugging Face hub: weights with their recipe and card."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from flowkit.checkpoint import MODEL, RUN_PAGES, TRAIN_PAGES, load, locate, pack, read_checkpoint, save
from flowkit.checkpoint import write_checkpoint as write
from flowkit.errors import OutputError
from flowkit.files import make_folder, replacing
from flowkit.flow import ConditionalFlow
from flowkit.hub import WEIGHTS, upload
from flowkit.recipe import read_recipe_text

CARD = "README.md"
RECIPE = "recipe.yaml"
KEPT = ("recipe", TRAIN_PAGES, RUN_PAGES)  # of a checkpoint's metadata

Model = ConditionalFlow | str | os.PathLike[str]


def from_pretrained(name_or_path: str | os.PathLike[str]) -> ConditionalFlow:
    """Load a model: `flowkit.load`, by the name that other libraries have for it."""
    return load(name_or_path)


def save_pretrained(model: Model, folder: str | os.PathLike[str], *, card: str | None = None) -> None:
    """Write a folder that `load` reads: `model.safetensors`, `recipe.yaml`, and a card, `README.md`.

    Args:
        model: one made by `build` or `load`; or a checkpoint, by path or name: then the fingerprints of its
            training pages are kept, so that `flowkit evaluate` goes on to refuse these pages.
        folder: made if it is not there.
        card: Markdown; by default the card beside the checkpoint, or a few lines that say what is known.

    Raises:
        CheckpointError: there is no such checkpoint, or `load` would refuse the file.
        OutputError: a file cannot be written.
    """
    make_folder(folder)
    place = Path(folder)
    if isinstance(model, ConditionalFlow):
        save(model, place / WEIGHTS)
        recipe, beside = model.recipe or "", None
    else:
        path = locate(model)
        recipe, beside = load(path).recipe or "", path.with_suffix(".md")
        tensors, metadata = read_checkpoint(path, prefix=MODEL)
        write(place / WEIGHTS, pack(tensors), {key: metadata[key] for key in KEPT if key in metadata})
    if card is None:
        known = beside is not None and beside.is_file()
        card = beside.read_text(encoding="utf-8") if beside and known else _card(recipe)
    for name, text in ((RECIPE, recipe), (CARD, _with_header(card))):
        with replacing(place / name) as draft:
            draft.write_text(text, encoding="utf-8")


def push_to_hub(
    model: Model,
    repository: str,
    *,
    card: str | None = None,
    private: bool = False,
    message: str = "Upload a flowkit model",
) -> str:
    """Upload the folder of `save_pretrained` to `owner/name` of the hub, in one commit; return its address.

    The token is that of `hf auth login` or of the variable HF_TOKEN.

    Raises:
        CheckpointError: as `save_pretrained`.
        FlowkitError: the upload fails, or the extra `hub` is not installed.
    """
    try:
        scratch = tempfile.TemporaryDirectory()
    except OSError as error:
        raise OutputError(f"no temporary folder can be made ({error.strerror})") from None
    with scratch as folder:
        save_pretrained(model, folder, card=card)
        return upload(Path(folder), repository, private=private, message=message)


def _with_header(card: str) -> str:
    """Put the hub's metadata before a card that has none."""
    header = "---\nlibrary_name: flowkit\ntags:\n- normalizing-flow\n- image-to-image\n---\n\n"
    return card if card.startswith("---\n") else header + card


def _card(text: str) -> str:
    recipe = read_recipe_text(text)
    return f"""# {recipe.name}

{recipe.about or "A conditional normalizing flow on images."}

```python
from flowkit import load

model = load("hf://OWNER/NAME")        # or the path of this folder
p = model(image)                       # p(y | x)
```

The recipe is in `{RECIPE}`, and in the metadata of `{WEIGHTS}`.
"""
