"""Single steps: what moves, and what does not."""

from __future__ import annotations

import math

import pytest
import torch
from running import steps

from flowkit import build
from flowkit.errors import RecipeError
from flowkit.recipe import TrainOptions
from flowkit.training.average import Average
from flowkit.training.schedule import share_of_rate


def spoilt(batch):
    return [(batch[0] * math.nan, batch[1])]


def state(run):
    return {k: v.clone() for k, v in run.job.model.state_dict().items()}


def test_a_step_that_is_not_finite_changes_nothing(run):
    broken = run()
    [batch] = broken.job.batches(0, 1)
    broken.advance([batch])
    before, slots = state(broken), {k: v.clone() for k, v in broken.job.stepper.slots().items()}
    outcome = broken.advance(spoilt(batch))
    assert not outcome.finite
    assert all(torch.equal(v, before[k]) for k, v in state(broken).items())
    assert all(torch.equal(v, slots[k]) for k, v in broken.job.stepper.slots().items())


def test_a_first_step_that_is_not_finite_leaves_actnorms_to_the_next(run):
    broken = run()
    [batch] = broken.job.batches(0, 1)
    broken.advance(spoilt(batch))
    assert not state(broken)["layers.1.initialised"]
    broken.advance([batch])
    assert state(broken)["layers.1.initialised"]
    assert all(v.isfinite().all() for v in state(broken).values() if v.is_floating_point())


def test_several_passes_are_one_with_more_samples(run, tiny):
    # An encoder without batch statistics: these are of one pass.
    tiny["encoder"] = {"type": "rrdb", "features": 4, "growth": 2, "blocks": 1, "stack": [0], "scale": 1}
    whole = run({"train.batch": 4, "train.warmup": 100})
    parts = run({"train.batch": 2, "train.accumulate": 2, "train.warmup": 100})
    one, two = (list(each.job.batches(0, 1)) for each in (whole, parts))
    # Adam would not notice gradients that are twice as large
    assert parts.advance(two).gradient == pytest.approx(whole.advance(one).gradient, rel=1e-3)
    assert steps(parts, 2) == pytest.approx(steps(whole, 2), rel=1e-4)
    for key, value in state(whole).items():
        torch.testing.assert_close(state(parts)[key], value, rtol=1e-3, atol=5e-4, msg=key)


def test_the_encoder_waits_for_its_step_and_has_its_own_rate(run):
    waiting = run({"train.encoder_from": 2, "train.encoder_lr": 0.005})
    steps(waiting, 1)  # actnorms are initialised now
    before = state(waiting)
    steps(waiting, 1)
    moved = {k for k, v in state(waiting).items() if not torch.equal(v, before[k])}
    assert moved
    assert not any(k.startswith("encoder.") for k in moved)
    steps(waiting, 1)
    moved = {k for k, v in state(waiting).items() if not torch.equal(v, before[k])}
    assert any(k.startswith("encoder.") for k in moved)
    flow, encoder = (group["lr"] for group in waiting.job.stepper.optimizer.param_groups)
    assert encoder == flow / 2


def test_bfloat16_is_for_the_networks_only(run):
    low = run({"train.precision": "bfloat16"})
    seen = []
    convolution = next(m for m in low.job.model.encoder.modules() if isinstance(m, torch.nn.Conv2d))
    convolution.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    [batch] = low.job.batches(0, 1)
    bits = [low.advance([batch]).bits for _ in range(2)][1]
    assert set(seen) == {torch.bfloat16}
    assert {v.dtype for v in state(low).values() if v.is_floating_point()} == {torch.float32}
    exact = run({"train.precision": "float32"})
    wanted = [exact.advance([batch]).bits for _ in range(2)][1]
    assert bits == pytest.approx(wanted, rel=0.05)
    assert bits != wanted


def test_an_added_loss_changes_what_is_minimised_and_not_the_bits(run):
    plain, more = run(), run({"train.losses": {"nll": 1.0, "cross_entropy": 0.5}})
    [batch] = plain.job.batches(0, 1)
    one, two = plain.advance([batch]), more.advance([batch])
    assert one.loss == one.bits == two.bits
    assert two.loss > one.loss
    assert two.gradient != one.gradient


def test_a_loss_that_is_not_for_the_target_is_refused_where_it_stands(job, tiny):
    tiny["target"] = {"type": "continuous"}
    tiny["train"]["losses"] = {"cross_entropy": 1}
    with pytest.raises(
        RecipeError, match=r'cross_entropy" is for binary targets only\n  at <dict>: train.loss'
    ):
        job()


def test_schedules():
    cosine = TrainOptions(steps=102, warmup=2)
    shares = [share_of_rate(step, cosine) for step in range(103)]
    assert shares[:3] == [0.5, 1.0, 1.0]
    assert shares[52] == pytest.approx(0.505)
    assert shares[102] == pytest.approx(0.01)
    halved = TrainOptions(steps=100, warmup=0, schedule="step", milestones=[0.5, 0.75], gamma=0.5)
    assert [share_of_rate(step, halved) for step in (0, 49, 50, 74, 75, 99)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert share_of_rate(90, TrainOptions(steps=100, warmup=2, schedule="constant")) == 1


def test_the_average_moves_slowly_in_the_long_run_and_quickly_at_first(tiny):
    model = build(tiny)
    weight = model.layers[1].bias
    average = Average(model, 0.9)
    torch.nn.init.ones_(weight)
    average.update(model, 1)
    torch.testing.assert_close(average.state["layers.1.bias"], torch.full_like(weight, 1 - 2 / 11))
    average.model.load_state_dict({k: torch.zeros_like(v) for k, v in model.state_dict().items()})
    average.update(model, 1000)
    torch.testing.assert_close(average.model.layers[1].bias.data, torch.full_like(weight, 0.1))
    model.layers[1].initialised.fill_(True)
    average.update(model, 1001)
    assert average.state["layers.1.initialised"]
