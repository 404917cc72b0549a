"""Checkpoints of a run on disk: complete files only, the latest few and the best, and their restoration."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from flowkit.checkpoint import MODEL as WEIGHTS
from flowkit.checkpoint import (
    RUN_PAGES,
    TRAIN_PAGES,
    check_numbers,
    fill,
    pack,
    read_checkpoint,
    write_checkpoint,
)
from flowkit.errors import CheckpointError, OutputError
from flowkit.recipe import Recipe, read_recipe_text
from flowkit.training.average import Average
from flowkit.training.step import Stepper

CHECKPOINTS = "checkpoints"  # the latest checkpoints, each with everything that resuming needs
BEST = "best.safetensors"  # the checkpoint with the best score on the validation pages
MODEL = "model.safetensors"  # the averaged weights, in float16, for use
RECENT = 200  # steps over which steps that were not finite are counted

Tensors = dict[str, Tensor]


@dataclass
class Progress:
    """The progress of a run: everything in its checkpoints except tensors.

    Attributes:
        step: steps taken.
        position: samples taken, by all processes; the data continue from there.
        best: bits per dimension of the validation pages at the best checkpoint.
        skipped: the steps that were not finite, among the last `RECENT`.
        skipped_in_all: the number of such steps since the beginning.
    """

    step: int = 0
    position: int = 0
    best: float = math.inf
    skipped: list[int] = field(default_factory=list)
    skipped_in_all: int = 0

    def skip(self) -> None:
        """Count the last step as not finite."""
        self.skipped = [step for step in self.skipped if step > self.step - RECENT] + [self.step]
        self.skipped_in_all += 1


class Keeper:
    """A writer and reader of a run's checkpoints.

    Args:
        out: the run's folder.
        recipe: of the model.
        keep: number of latest checkpoints to keep.
        pages: fingerprints of the training pages; they go into every file, so that `flowkit evaluate` refuses
            these pages.
        before: fingerprints of the pages that the weights were trained on before this run, written as well.
    """

    def __init__(
        self, out: Path, recipe: Recipe, keep: int, pages: Iterable[str], before: Iterable[str] = ()
    ) -> None:
        self.out = out
        self.recipe = recipe
        self.keep = keep
        self.pages = sorted(pages)
        self.before = frozenset(before)

    def save(self, stepper: Stepper, average: Average, progress: Progress, *, best: bool = False) -> None:
        """Write a checkpoint and the model for use; then remove all but the latest `keep` checkpoints.

        Raises:
            OutputError: a file cannot be written; the files from before are unchanged.
        """
        tensors = pack(average.state)
        tensors |= {f"raw/{name}": value for name, value in stepper.model.state_dict().items()}
        tensors |= {f"optimizer/{name}": value for name, value in stepper.slots().items()}
        metadata = self._metadata(progress)
        path = self.out / CHECKPOINTS / f"step_{progress.step:08d}.safetensors"
        _write(path, tensors, metadata | {"progress": json.dumps(asdict(progress))})
        if best:
            _copy(path, self.out / BEST)
        self.save_model(average, progress)
        for old in checkpoints(self.out)[: -self.keep]:
            with suppress(OSError):
                old.unlink()

    def save_model(self, average: Average, progress: Progress) -> None:
        """Write the averaged weights for use."""
        weights = pack(average.state, dtype=torch.float16)
        _write(self.out / MODEL, weights, self._metadata(progress))

    def restore(self, stepper: Stepper, average: Average) -> Progress:
        """Restore the latest checkpoint that can be read.

        Raises:
            CheckpointError: there is none, or it belongs to another model or to other pages.
        """
        path, tensors, metadata = self._latest()
        before = read_recipe_text(metadata.get("recipe", ""), origin=str(path))
        if _model_of(before) != _model_of(self.recipe):
            raise CheckpointError(f"{path}: is of another model; only the `train` section may have changed")
        try:
            pages = json.loads(metadata[RUN_PAGES])
            self._check_pages(path, pages)
            self.before = frozenset(json.loads(metadata[TRAIN_PAGES])) - set(pages)
            raw = _under("raw/", tensors)
            if not raw:
                raise KeyError("raw/")  # for instance, a model for use
            fill(stepper.model, raw, path)
            fill(average.model, _under(WEIGHTS, tensors), path)
            slots = _under("optimizer/", tensors)
            for name, value in slots.items():
                check_numbers(value, f'{path}: optimizer state "{name}"')
            stepper.load(slots)
            return Progress(**json.loads(metadata["progress"]))
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise CheckpointError(f"{path}: not a training checkpoint of this recipe ({error})") from None

    def tidy(self) -> None:
        """Remove temporary files that a killed run left."""
        for folder in (self.out, self.out / CHECKPOINTS):
            for draft in folder.glob(".flowkit-*.tmp"):
                with suppress(OSError):
                    draft.unlink()

    def _latest(self) -> tuple[Path, Tensors, dict[str, str]]:
        found = checkpoints(self.out)
        if not found:
            raise CheckpointError(f"{self.out / CHECKPOINTS}: no checkpoints, nothing to resume")
        for path in reversed(found):
            try:
                return path, *read_checkpoint(path)
            except CheckpointError as error:
                if path == found[0]:
                    raise
                print(f"flowkit: {error}; going on from the one before", file=sys.stderr)
        raise AssertionError("the oldest was read, or raised")

    def _metadata(self, progress: Progress) -> dict[str, str]:
        return {
            "recipe": self.recipe.text(),
            "step": str(progress.step),
            TRAIN_PAGES: json.dumps(sorted(self.before.union(self.pages))),
            RUN_PAGES: json.dumps(self.pages),
        }

    def _check_pages(self, path: Path, before: list[str]) -> None:
        gone, new = sorted(set(before) - set(self.pages)), sorted(set(self.pages) - set(before))
        if gone or new:
            changes = [f"{len(pages)} {what} ({_some(pages)})" for what, pages in _named(gone, new)]
            raise CheckpointError(
                f"{path}: was trained on other pages: {', '.join(changes)}; resume with the data of the run, "
                "or begin a new run from its weights (--init)"
            )


def checkpoints(out: Path) -> list[Path]:
    """List the checkpoints of a run, oldest first."""
    return sorted((out / CHECKPOINTS).glob("step_*.safetensors"))


def size_of(stepper: Stepper) -> int:
    """Return the bytes of a checkpoint: weights, their averages, and two moments of each."""
    numbers = sum(int(value.numel()) for value in stepper.model.state_dict().values())
    return 4 * 4 * numbers


def _write(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made a folder ({error.strerror})") from None
    write_checkpoint(path, tensors, metadata)


def _copy(path: Path, copy: Path) -> None:
    """Make a hard link to the file if the file system has them, otherwise a copy."""
    draft = copy.with_name(f".flowkit-{copy.name}.tmp")
    try:
        draft.unlink(missing_ok=True)
        try:
            os.link(path, draft)
        except OSError:
            shutil.copyfile(path, draft)
        draft.replace(copy)
    except OSError as error:
        raise OutputError(f"{copy}: cannot be written ({error.strerror})") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _named(gone: list[str], new: list[str]) -> list[tuple[str, list[str]]]:
    return [(what, pages) for what, pages in (("are not there now", gone), ("are new", new)) if pages]


def _some(pages: list[str]) -> str:
    return ", ".join(pages[:3]) + (", ..." if len(pages) > 3 else "")


def _model_of(recipe: Recipe) -> dict[str, object]:
    return {key: recipe.resolved.get(key) for key in ("target", "encoder", "flow")}


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
