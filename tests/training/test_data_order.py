"""Which sample comes when."""

from __future__ import annotations

import pytest
import torch
from conftest import ALONE

from flowkit.errors import FlowkitError
from flowkit.training import data_order
from flowkit.training.data_order import Order, batches, default_workers, noise_of
from flowkit.training.processes import Processes

CPU = torch.device("cpu")


class Numbers(torch.utils.data.Dataset):
    def __getitem__(self, index):
        if index >= 1000:
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
        return torch.tensor([index]), torch.tensor([-index])


@pytest.mark.parametrize(("world", "batch", "accumulate"), [(1, 5, 1), (2, 3, 1), (3, 2, 4)])
def test_processes_and_passes_share_consecutive_samples(world, batch, accumulate):
    orders = [Order(batch, accumulate, Processes(rank, world, CPU)) for rank in range(world)]
    per_step = orders[0].per_step
    taken = [index for one in orders for part in one.step(7) for index in part]
    assert sorted(taken) == list(range(7, 7 + per_step))
    assert {len(part) for one in orders for part in one.step(7)} == {batch}


@pytest.mark.parametrize("workers", [0, 2])
def test_data_begin_at_a_position(workers):
    found = [image.flatten().tolist() for image, _ in batches(Numbers(), Order(2, 2, ALONE), 10, 2, workers)]
    assert found == [[10, 11], [12, 13], [14, 15], [16, 17]]


def test_a_worker_that_died_is_explained():
    with pytest.raises(FlowkitError, match=r"killed by signal: Killed.*use fewer --workers"):
        list(batches(Numbers(), Order(1, 1, ALONE), 1000, 1, 0))


def test_noise_knows_the_seed_and_the_sample_only():
    def draw(indices, seed):
        return [torch.rand(3, generator=g).tolist() for g in noise_of(indices, seed, CPU)]

    assert draw(range(4, 8), 0)[2] == draw(range(6, 7), 0)[0]
    assert draw([6], 0) != draw([6], 1)
    assert draw([6], 0) != draw([7], 0)


def test_workers_are_as_many_as_the_cores_allow(monkeypatch):
    for cores, world, expected in [(1, 1, 1), (2, 1, 1), (8, 1, 7), (64, 4, 8), (64, 1, 8)]:
        monkeypatch.setattr(data_order.os, "sched_getaffinity", lambda pid, n=cores: set(range(n)))
        assert default_workers(world) == expected
