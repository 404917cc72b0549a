"""The training loop: patches in, negative log-likelihood down, checkpoints out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from flowkit.checkpoint import pack, read_checkpoint, write_checkpoint
from flowkit.data import (
    BinarizationPatches,
    SuperResolutionPatches,
    find_images,
    find_pairs,
    load_pages,
)
from flowkit.errors import CheckpointError, DataError, FlowkitError, OutputError
from flowkit.files import replacing
from flowkit.flow import ConditionalFlow
from flowkit.recipe import Recipe, build, read_recipe_text
from flowkit.targets import Binary
from flowkit.training.average import Average
from flowkit.training.interruption import interruption
from flowkit.training.schedule import learning_rate

LAST = "last.safetensors"  # everything that going on needs
LOG = "metrics.jsonl"  # a line every `LOG_EVERY` steps
MODEL = "model.safetensors"  # the averaged weights, in float16, for use
SAVE_EVERY = 500
LOG_EVERY = 20
MOST_SKIPPED = 20  # steps in a row without a finite loss and gradient


def train(
    recipe: Recipe,
    data: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    device: str = "cpu",
    quiet: bool = False,
) -> ConditionalFlow:
    """Train a recipe's flow by maximum likelihood; return it with its averaged weights, in eval mode.

    Args:
        recipe: what to build, and in its `train` section how to train it.
        data: for binarization, folders with `img` and `gt` folders in them, at any depth; otherwise, folders
            of high-resolution images.
        out: a new folder for `last.safetensors`, `model.safetensors` and `metrics.jsonl`.
        resume: go on from `last.safetensors` there, to the same weights as if there had been no break; the
            recipe's `train` section may have changed since.
        device: where to compute.
        quiet: no progress bar.

    Raises:
        DataError, CheckpointError, OutputError: before the first step, if at all possible.
        FlowkitError: the loss is not finite for many steps on end.
    """
    run = Run(recipe, data, Path(out), resume=resume, device=device)
    run.go(quiet=quiet)
    run.model.load_state_dict(run.average.state)
    run.model.eval()
    return run.model


class Run:
    """A training run and everything that its checkpoint holds."""

    def __init__(
        self, recipe: Recipe, data: Sequence[str | os.PathLike[str]], out: Path, *, resume: bool, device: str
    ) -> None:
        self.recipe = recipe
        self.options = recipe.train
        self.out = out
        _check_out(out, resume)
        _check_device(device)
        torch.manual_seed(self.options.seed)
        self.model = build(recipe).to(device)
        # Faster convolutions; torch does not declare this form of the call.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.patches = _patches(self.model, data, self.options.patch, self.options.seed)
        self.noise = torch.Generator().manual_seed(self.options.seed)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.options.lr, weight_decay=self.options.weight_decay
        )
        self.average = Average(self.model, self.options.ema)
        self.device = device
        self.step = 0
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{out}: cannot be made a folder ({error})") from None
        if resume:
            self.restore()

    def go(self, *, quiet: bool = False) -> None:
        """Train to the last step, saving on the way, at the end, and when interrupted (SIGINT, SIGTERM)."""
        self.model.train()
        skipped, since, last = 0, time.monotonic(), self.step
        progress = tqdm(
            total=self.options.steps, initial=self.step, unit="step", disable=quiet, smoothing=0.05
        )
        with progress as bar, interruption() as interrupted:
            while self.step < self.options.steps:
                bits, norm = self.advance()
                skipped = 0 if np.isfinite(norm) else skipped + 1
                if skipped == MOST_SKIPPED:
                    raise FlowkitError(
                        f"training: the loss was not finite for {MOST_SKIPPED} steps up to step {self.step}; "
                        f"go on from {self.out / LAST} with a lower train.lr, or look at the data"
                    )
                bar.update()
                if self.step % LOG_EVERY == 0 or self.step == self.options.steps:
                    bar.set_postfix_str(f"{bits:.4f} bits/dim, gradient {norm:.2f}")
                    speed = (self.step - last) / max(time.monotonic() - since, 1e-9)
                    self.log(bits_per_dim=bits, gradient=norm, steps_per_s=speed)
                    since, last = time.monotonic(), self.step
                if self.step % SAVE_EVERY == 0 or self.step == self.options.steps or interrupted:
                    self.save()
                if interrupted:
                    raise KeyboardInterrupt

    def advance(self) -> tuple[float, float]:
        """One step; bits per dimension of the batch, and the gradient's norm before clipping.

        A step whose loss or gradient is not finite changes no weight.
        """
        image, target = (t.to(self.device) for t in self.patches.batch(self.options.batch))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.options)
        before = {k: v.clone() for k, v in self.model.state_dict().items()}
        loss = self.model(image).bits_per_dim(target, generator=self.noise).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip))
        self.step += 1
        if np.isfinite(norm):
            self.optimizer.step()
            self.average.update(self.model, self.step)
        else:  # the forward pass has moved running statistics, or initialised actnorms
            self.model.load_state_dict(before)
        return float(loss.detach()), norm

    def log(self, **figures: float) -> None:
        """Append a line to `metrics.jsonl`."""
        line = {"step": self.step, "target": self.model.target.nll_of, **figures}
        with (self.out / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write `last.safetensors` and `model.safetensors`, each whole or not at all."""
        state = self.optimizer.state_dict()["state"]
        tensors = pack(self.average.state)
        tensors |= {f"raw/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"adam/{i}/{k}": v for i, slots in state.items() for k, v in slots.items()}
        tensors["noise"] = self.noise.get_state()
        metadata = {
            "recipe": self.model.recipe or "",
            "step": str(self.step),
            "patches": json.dumps(self.patches.rng.bit_generator.state),
        }
        write_checkpoint(self.out / LAST, tensors, metadata)
        weights = pack(self.average.state, dtype=torch.float16)
        write_checkpoint(self.out / MODEL, weights, {k: metadata[k] for k in ("recipe", "step")})

    def restore(self) -> None:
        """Go on where `last.safetensors` stands."""
        path = self.out / LAST
        tensors, metadata = read_checkpoint(path)
        before = read_recipe_text(metadata.get("recipe", ""), origin=str(path))
        if _model_of(before) != _model_of(self.recipe):
            raise CheckpointError(f"{path}: is of another model; only the `train` section may have changed")
        try:
            self.model.load_state_dict(_under("raw/", tensors))
            self.average.load(_under("model/", tensors))
            self.noise.set_state(tensors["noise"])
            self.patches.rng.bit_generator.state = json.loads(metadata["patches"])
            self.step = int(metadata["step"])
            self._forget_later_lines()
            slots: dict[int, dict[str, torch.Tensor]] = {}
            for name, tensor in _under("adam/", tensors).items():
                index, slot = name.split("/")
                slots.setdefault(int(index), {})[slot] = tensor
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path}: not a training checkpoint of this recipe ({error})") from None
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})

    def _forget_later_lines(self) -> None:
        """Take out of the log what came after the checkpoint: it is done again."""
        path = self.out / LOG
        if path.is_file():
            lines = path.read_text().splitlines(keepends=True)
            with replacing(path) as draft:
                draft.write_text("".join(line for line in lines if json.loads(line)["step"] <= self.step))


def _patches(
    model: ConditionalFlow, data: Sequence[str | os.PathLike[str]], patch: int, seed: int
) -> BinarizationPatches | SuperResolutionPatches:
    rng = np.random.default_rng(seed)
    low, unit = patch // model.scale, model.multiple
    if patch % model.scale or low % unit:
        raise DataError(f"train.patch must be a multiple of {unit * model.scale} for this flow, got {patch}")
    if model.in_channels != 3:
        raise DataError(f"training pages have 3 channels, but encoder.in_channels is {model.in_channels}")
    if isinstance(model.target, Binary):
        if model.scale != 1 or model.target.channels != 1:
            raise DataError("binary targets are trained at scale 1, with 1 channel")
        return BinarizationPatches(load_pages(find_pairs(data)), patch, rng)
    if model.target.channels != 3:
        raise DataError(f"training pages have 3 channels, but target.channels is {model.target.channels}")
    return SuperResolutionPatches(load_pages(find_images(data)), patch, model.scale, rng)


def _check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        why = str(error).partition("\n")[0]
        raise FlowkitError(f'device "{device}" cannot be used: {why}') from None


def _check_out(out: Path, resume: bool) -> None:
    if resume:
        if not (out / LAST).is_file():
            raise CheckpointError(f"{out / LAST}: no such file, nothing to resume")
        return
    for name in (LAST, LOG):
        if (out / name).exists():
            raise OutputError(f"{out / name}: holds a run already; resume it, or name another folder")


def _model_of(recipe: Recipe) -> dict[str, object]:
    return {key: recipe.resolved.get(key) for key in ("target", "encoder", "flow")}


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
