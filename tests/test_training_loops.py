"""Loops of one's own: the code of docs/guides/loops, each page in two processes (gloo, on the CPU)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch

from flowkit import load
from tests.two_processes import two_processes

PAGES = Path(__file__).parent.parent / "docs" / "guides" / "loops"
NEEDS = {"accelerate": "accelerate", "lightning": "lightning"}
KEEP = """
import os, torch
torch.save((model.state_dict(), float(loss if "loss" in globals() else 0)), f"{os.environ['RANK']}.pt")
"""


def code(page: str) -> str:
    [block] = re.findall(
        r"^```python\n(.*?)^```", (PAGES / f"{page}.md").read_text(), re.DOTALL | re.MULTILINE
    )
    return block


def run(script: str, folder: Path) -> list[tuple[dict, float]]:
    """Run a script in two processes; what each of them kept."""
    two_processes(folder, work, script, folder)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def work(script: str, folder: Path) -> None:
    os.chdir(folder)
    exec(compile(script, "my_loop.py", "exec"), {"__name__": "__main__"})


def check_trained(model: torch.nn.Module, name: str) -> None:
    """Score a model on images of the kind that every page of the docs draws: it began at 1.35 bits."""
    generator = torch.Generator().manual_seed(7)
    x = torch.nn.functional.interpolate(torch.rand(16, 3, 4, 6, generator=generator), scale_factor=4)
    y = (x.mean(1, keepdim=True) < 0.4).float()
    assert all(bool(layer.initialised) for layer in model.layers if hasattr(layer, "initialised")), name
    with torch.no_grad():
        bits = model.eval()(x).bits_per_dim(y, generator=generator).mean()
    assert bits < 0.9, name


@pytest.mark.slow
@pytest.mark.parametrize("page", ["ddp", "accelerate", "lightning"])
def test_two_processes_keep_the_same_weights(page, tmp_path):
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    script = code(page).replace("dist.destroy_process_group()\n", "")
    first, second = run(script + KEEP, tmp_path)
    for name, value in first[0].items():
        if "running_" not in name and "num_batches" not in name:
            torch.testing.assert_close(second[0][name], value, rtol=0, atol=0)
    check_trained(load(tmp_path / "model.safetensors"), page)


@pytest.mark.slow
def test_unused_parameters_may_be_looked_for(tmp_path):
    """With and without layers that are recomputed: their weights must not seem unused."""
    script = code("ddp").replace("1.0}))\n", "1.0}), find_unused_parameters=True)\nmodel.recompute = True\n")
    assert "find_unused_parameters=True)" in script
    first, second = run(script.replace("dist.destroy_process_group()\n", "") + KEEP, tmp_path)
    torch.testing.assert_close(
        first[0]["layers.3.network.out.weight"], second[0]["layers.3.network.out.weight"]
    )
    check_trained(load(tmp_path / "model.safetensors"), "ddp")


@pytest.mark.slow
def test_sharded_weights_become_one_model(tmp_path):
    run(
        code("fsdp2").replace(
            "dist.destroy_process_group()\n", "model = whole if dist.get_rank() == 0 else build(recipe)\n"
        )
        + KEEP,
        tmp_path,
    )
    check_trained(load(tmp_path / "model.safetensors"), "fsdp2")


def test_a_plain_loop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code("plain"), "plain.md", "exec"), names)
    check_trained(load("model.safetensors"), "plain")
