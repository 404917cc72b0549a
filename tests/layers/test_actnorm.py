from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from flowkit.layers import ActNorm, Shape


def batch(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 + 2 * torch.randn(4, 3, 5, 7, generator=generator, dtype=torch.float64)


def test_first_training_pass_normalises_and_later_ones_keep():
    layer = ActNorm(Shape(3, 1)).double().train()
    z, _ = layer(batch())
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3).double())
    torch.testing.assert_close(z.std((0, 2, 3), correction=0), torch.ones(3).double(), rtol=1e-5, atol=0)
    again, _ = layer(5 + 9 * batch(1))
    assert again.mean().abs() > 1


def test_neither_eval_nor_sampling_initialises():
    layer = ActNorm(Shape(3, 1)).double().eval()
    torch.testing.assert_close(layer(batch())[0], batch())
    layer.train().inverse(batch())
    torch.testing.assert_close(layer.eval()(batch())[0], batch())


@pytest.mark.parametrize("way", ["state_dict", "deepcopy"])
def test_initialised_stays_initialised(way):
    layer = ActNorm(Shape(3, 1)).double().train()
    layer(batch())
    if way == "state_dict":
        other = ActNorm(Shape(3, 1)).double().train()
        other.load_state_dict(layer.state_dict())
    else:
        other = copy.deepcopy(layer)
    torch.testing.assert_close(other(9 * batch(1)), layer(9 * batch(1)))


def test_a_constant_channel_and_a_single_value_are_safe():
    layer = ActNorm(Shape(2, 1)).double().train()
    x = torch.tensor([[[[7.0]], [[0.0]]]]).double()
    z, log_det = layer(x)
    assert z.abs().max() == 0
    assert log_det.abs().max() == 0
    torch.testing.assert_close(layer.inverse(z)[0], x)


def test_statistics_over_processes_are_those_of_all_their_samples(monkeypatch):
    """Two processes as two threads; their parts of a batch have other means and deviations."""
    parts = [batch(), 7 + 0.1 * batch(1)]
    barrier, sums = threading.Barrier(2), {}

    def all_reduce(tensor):
        sums[threading.get_ident()] = tensor.clone()
        barrier.wait(60)
        total = sum(sums.values())
        barrier.wait(60)
        tensor.copy_(total)

    layers = [ActNorm(Shape(3, 1)).double().train() for _ in parts]
    with monkeypatch.context() as patch:
        patch.setattr(torch.distributed, "is_initialized", lambda: True)
        patch.setattr(torch.distributed, "get_world_size", lambda: 2)
        patch.setattr(torch.distributed, "all_reduce", all_reduce)
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda layer, part: layer(part), layers, parts))
    alone = ActNorm(Shape(3, 1)).double().train()
    alone(torch.cat(parts))
    for layer in layers:
        torch.testing.assert_close(dict(layer.named_parameters()), dict(alone.named_parameters()))
