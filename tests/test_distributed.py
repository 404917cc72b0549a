"""Two processes (gloo, on the CPU) under DistributedDataParallel."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from flowkit import build

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


def half(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    try:
        loss = nn.parallel.DistributedDataParallel(Loss())
        image, y = (t[2 * rank : 2 * rank + 2] for t in batch(4))
        loss(image, y).backward()
        state = {k: v.clone() for k, v in loss.module.state_dict().items()}
        gradients = {k: v.grad for k, v in loss.module.named_parameters()}
        torch.save((state, gradients), f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(tmp_path):
    mp.spawn(half, (str(tmp_path),), nprocs=2)
    alone = Loss()
    alone(*batch(4)).backward()
    for rank in range(2):
        state, gradients = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(state[name], value, msg=lambda m, name=name: f"{name}: {m}")
        for name, parameter in alone.named_parameters():
            torch.testing.assert_close(gradients[name], parameter.grad, msg=lambda m, n=name: f"{n}: {m}")
