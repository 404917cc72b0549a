"""Training steps as CUDA graphs: what a run with them comes to is what one without them does."""

from __future__ import annotations

import pytest
import torch
from running import steps

from flowkit import read_recipe
from flowkit.layers import Squeeze
from flowkit.training import captured
from flowkit.training.captured import CapturedPasses
from flowkit.training.data_order import noise_of
from flowkit.training.job import Job
from flowkit.training.loop import Run
from flowkit.training.processes import Processes

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: torch finds no CUDA device")


class Replayed:
    """In the place of `Graph`, where there is no GPU: warms up, and then calls."""

    made = 0

    def __init__(self, call, *inputs, generators):
        type(self).made += 1
        self.call = call
        for _ in range(3):
            call(*inputs)
        self.drawn_from = generators

    def __call__(self, *inputs):
        return self.call(*inputs)


def state(run):
    return {k: v.clone() for k, v in run.job.model.state_dict().items()}


def capturing(run):
    stepper = run.job.stepper
    stepper._captured = CapturedPasses(
        run.job.model, lambda *given: stepper._pass(stepper.objective, *given), run.options.seed
    )
    return run


@pytest.mark.parametrize("overrides", [{}, {"train.accumulate": 2}, {"train.encoder_from": 2}])
def test_recording_leaves_no_trace(run, overrides, monkeypatch):
    monkeypatch.setattr(captured, "Graph", Replayed)
    monkeypatch.setattr(Replayed, "made", 0)
    plain, recorded = run(overrides, out="plain"), capturing(run(overrides, out="recorded"))
    assert steps(recorded, 4) == steps(plain, 4)
    for key, value in state(plain).items():
        assert torch.equal(state(recorded)[key], value), key
    assert Replayed.made == (2 if "train.encoder_from" in overrides else 1)


def test_what_cannot_be_recorded_is_said_and_run_as_it_is(run, monkeypatch):
    def fail(*given, **options):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(captured, "Graph", fail)
    plain, failing = run(out="plain"), capturing(run(out="failing"))
    expected = steps(plain, 3)
    with pytest.warns(UserWarning, match=r"CUDA graph \(operation not permitted when .* capturing\)"):
        assert steps(failing, 1) == expected[:1]
    assert steps(failing, 2) == expected[1:]


def test_layers_that_do_not_compile_are_not_tried(run, monkeypatch):
    monkeypatch.setattr(captured, "Graph", Replayed)
    monkeypatch.setattr(Replayed, "made", 0)
    monkeypatch.setattr(Squeeze, "compiles", False)
    steps(capturing(run()), 1)
    assert Replayed.made == 0


@pytest.fixture
def on_cuda(tiny, drawn, tmp_path):
    def make(name, overrides=None):
        alone = Processes(0, 1, torch.device("cuda", 0))
        return Run(Job(read_recipe(tiny, overrides), [drawn], alone, workers=0), tmp_path / name)

    return make


RECIPES = [
    {},
    {"train.precision": "bfloat16", "train.accumulate": 2},
    {"train.encoder_from": 2},
    {"train.recompute": True, "vars.steps": 3},
    {"train.losses": {"nll": 1.0, "cross_entropy": 0.5, "skeleton": 0.1}},
]


@on_a_gpu
@pytest.mark.parametrize("overrides", RECIPES)
def test_a_gpu_comes_to_the_same(on_cuda, overrides, recwarn):
    plain, recorded = on_cuda("plain", overrides), on_cuda("recorded", overrides)
    plain.job.stepper._captured = None
    losses = steps(recorded, 5)
    assert losses == pytest.approx(steps(plain, 5), rel=1e-3)
    assert len(set(losses)) == 5
    assert recorded.job.stepper._captured._graph is not None, [str(w.message) for w in recwarn]
    for key, value in state(plain).items():
        torch.testing.assert_close(state(recorded)[key], value, rtol=1e-2, atol=1e-2, msg=key)


@on_a_gpu
def test_noise_in_a_graph_is_that_of_the_sample(on_cuda):
    stepper = on_cuda("run").job.stepper
    shape, device = (2, 3), stepper.processes.device

    def run(batch, generators):
        return torch.stack([torch.rand(3, generator=g, device=device) for g in generators]) + 0 * batch[0]

    passes = CapturedPasses(stepper.model, run, seed=5)
    batch = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
    for part in (range(0, 2), range(7, 9)):
        drawn = [torch.rand(3, generator=g, device=device) for g in noise_of(part, 5, device)]
        assert torch.equal(passes(batch, part), torch.stack(drawn))
