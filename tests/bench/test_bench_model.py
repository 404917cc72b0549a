from __future__ import annotations

import json

import pytest
import torch

from flowkit import build
from flowkit.bench.model import prepared
from flowkit.bench.naive import NaiveFlow
from flowkit.cli import main

STEP = """
          - actnorm
          - conv1x1
          - {type: affine_injector, hidden: 6, network: NETWORK}
          - {type: affine_coupling, hidden: 6, network: NETWORK, context_kernel: KERNEL}
"""
RECIPE = (
    """
version: 1
name: tiny
vars: {steps: 2}
target: {type: continuous, channels: 3, noise: none}
encoder: {type: rrdb, scale: 4, blocks: 2, features: 6, growth: 4, stack: [0, 1]}
flow:
  - repeat: 3
    steps:
      - squeeze
      - repeat: $steps
        steps:"""
    + STEP
    + "    between: [split]\n"
)


@pytest.fixture
def recipe(tmp_path):
    def write(network, kernel=3):
        path = tmp_path / "tiny.yaml"
        path.write_text(RECIPE.replace("NETWORK", network).replace("KERNEL", str(kernel)))
        return path

    return write


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("network", ["plain", "srflow"])
def test_the_naive_way_comes_to_the_same(recipe, network, kernel, perturb):
    torch.manual_seed(0)
    flow = build(recipe(network, kernel)).double().train()
    image, y = torch.rand(2, 3, 6, 4).double(), torch.rand(2, 3, 24, 16).double()
    flow(image).log_prob(y)  # sets the actnorms
    flow = perturb(flow, amount=0.05).eval()
    naive, p = NaiveFlow(flow), flow(image)
    torch.testing.assert_close(naive.log_prob(image, y), p.log_prob(y), rtol=1e-10, atol=1e-10)
    z = p.encode(y)
    # actnorms that have seen one tiny batch stretch a lot, and rounding with it
    torch.testing.assert_close(naive.decode(image, z), p.decode(z), rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_a_table_of_whole_models(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("flowkit.bench.model.SIDE", 64)  # but in the processes of its own
    depths = set()

    def counted(*args):
        flow = prepared(*args)
        depths.add(len(list(flow.steps())))
        return flow

    monkeypatch.setattr("flowkit.bench.model.prepared", counted)
    command = [
        "bench",
        "model",
        str(recipe("srflow")),
        "--rounds",
        "1",
        "--threads",
        "1",
        "--out",
        str(tmp_path),
    ]
    command += ["--samples", "2", "--batch", "1", "--depths", "8", "64"]
    assert main(command) == 0
    rows = json.loads((tmp_path / "model-cpu.json").read_text())["rows"]
    kept = {(row["what"], row["variant"]): row["kept MiB"] for row in rows if row.get("kept MiB")}
    step = "training step of 1"
    assert kept[step, "flowkit"] < kept[step, "flowkit, keeping all"]
    assert kept["training step of 4, K = 64", "flowkit"] <= 1.3 * kept["training step of 4, K = 8", "flowkit"]
    peaks = {row["variant"]: row["peak MiB"] for row in rows if row["what"] == step}
    assert 0 < peaks["flowkit"] < 0.9 * peaks["flowkit, keeping all"]
    assert depths == {3 * steps for steps in (2, 8, 64)}
    assert {row["what"] for row in rows} >= {"2 samples", "log-likelihood"}
