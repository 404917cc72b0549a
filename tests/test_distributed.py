"""Two processes (gloo, on the CPU) under DistributedDataParallel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from flowkit import build, read_recipe
from flowkit.cli import main
from flowkit.training import train
from flowkit.training.processes import processes
from flowkit.training.state import checkpoints
from tests.two_processes import two_processes

RECIPE = {
    "version": 1,
    "target": {"type": "continuous", "noise": "none"},
    "encoder": {"type": "rrdb", "scale": 1, "features": 4, "growth": 2, "blocks": 1, "stack": [0]},
    "flow": ["squeeze", "actnorm", "conv1x1", {"type": "affine_coupling", "hidden": 4}, "actnorm"],
}


class Loss(nn.Module):
    """DistributedDataParallel wants a module whose forward gives tensors."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = build(RECIPE).double().train()

    def forward(self, image, y):
        return -self.model(image).log_prob(y).mean()


def batch(size: int):
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(size, 3, 8, 10, generator=generator, dtype=torch.float64) for _ in range(2))


def halves(folder: Path) -> None:
    with processes("cpu") as ours:
        loss = nn.parallel.DistributedDataParallel(Loss())
        image, y = (t[2 * ours.rank : 2 * ours.rank + 2] for t in batch(4))
        loss(image, y).backward()
        state = {k: v.clone() for k, v in loss.module.state_dict().items()}
        gradients = {k: v.grad for k, v in loss.module.named_parameters()}
        torch.save((state, gradients), folder / f"{ours.rank}.pt")


def test_two_processes_are_one_with_twice_the_batch(tmp_path):
    two_processes(tmp_path, halves, tmp_path)
    alone = Loss()
    alone(*batch(4)).backward()
    for rank in range(2):
        state, gradients = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(state[name], value, msg=lambda m, name=name: f"{name}: {m}")
        for name, parameter in alone.named_parameters():
            torch.testing.assert_close(gradients[name], parameter.grad, msg=lambda m, n=name: f"{n}: {m}")


TRAINED = {
    **RECIPE,
    "target": {"type": "binary"},
    "train": {
        "steps": 6,
        "batch": 2,
        "patch": 16,
        "warmup": 0,
        # After actnorm was initialised some gradients are 0 but for rounding, and Adam makes steps of it:
        # only small ones let the runs be compared.
        "lr": 1e-3,
        "encoder_from": 3,
        "log_every": 1,
        "save_every": 4,
        "validate_every": 3,
    },
}


def logged(out: Path, name: str = "bits_per_dim") -> list[float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def test_a_run_of_two_processes_is_one_with_twice_the_batch(drawn, tmp_path):
    pages = tmp_path / "validation"
    for side in ("img", "gt"):
        (pages / side).mkdir(parents=True)
        with Image.open(drawn / side / "0.png") as image:
            image.crop((0, 0, 48, 32)).save(pages / side / "0.png")
    recipe = read_recipe(TRAINED)
    (tmp_path / "recipe.yaml").write_text(recipe.text())
    command = ["train", str(tmp_path / "recipe.yaml"), "--data", str(drawn), "--quiet"]
    command += ["--validation", str(pages), "--out", str(tmp_path / "two"), "--workers", "1"]
    first, second = two_processes(tmp_path, main, command)
    assert "model.safetensors" in first
    assert "model.safetensors" not in second
    for name, changes in {
        "one": {"train.batch": 4},
        "passes": {"train.batch": 1, "train.accumulate": 4},
    }.items():
        changed = read_recipe(recipe, changes)
        train(changed, [drawn], tmp_path / name, validation=[pages], workers=0, quiet=True)
        for figure in ("bits_per_dim", "gradient", "validation_bits_per_dim", "validation_f_measure"):
            found, wanted = (logged(tmp_path / out, figure) for out in ("two", name))
            assert found == pytest.approx(wanted, rel=3e-3), f"{name}: {figure}"


@pytest.mark.slow
def test_the_processes_stop_together(drawn, tmp_path):
    (tmp_path / "recipe.yaml").write_text(read_recipe(TRAINED, {"train.steps": 100_000}).text())
    out = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["flowkit", "train", str(tmp_path / "recipe.yaml"), "--data", str(drawn), "--out", str(out)]
    command += ["--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as child:
        seen = ""
        while "bits/dim" not in seen:
            seen += child.stderr.read(1)
        child.terminate()
        rest = child.stderr.read()
    assert "--resume goes on from there" in rest
    stopped = int(re.search(r"stopped after step (\d+);", rest)[1])
    assert checkpoints(out)[-1].name == f"step_{stopped:08d}.safetensors"
