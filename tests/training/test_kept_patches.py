"""Patches whose features a frozen encoder computes once."""

from __future__ import annotations

import pytest
import torch
from running import losses, steps

from flowkit import build
from flowkit.cli import main
from flowkit.errors import FlowkitError, RecipeError
from flowkit.layers.features import PartlyCoarse
from flowkit.recipe import TrainOptions
from flowkit.training import kept_patches
from flowkit.training.kept_patches import KeptPatches

KEPT = {"train.kept_patches": 3}  # no multiple of the batch


@pytest.fixture
def deep(tiny):
    """An RRDB below two levels, with features of several grids, partly coarse."""
    tiny["encoder"] = {"type": "rrdb", "features": 4, "growth": 2, "blocks": 2, "stack": [0, 1], "scale": 2}
    step = ["actnorm", "conv1x1", "affine_injector"]
    tiny["target"] = {"type": "continuous", "channels": 3}
    tiny["flow"] = ["squeeze", *step, "split", "squeeze", *step]
    return tiny


def calls(run):
    seen = []
    run.job.model.encoder.first.register_forward_hook(lambda *given: seen.append(given[1][0].shape[0]))
    return seen


def test_every_patch_is_encoded_once_and_met_once_in_every_pass(run, deep):
    kept = run(KEPT)
    seen = calls(kept)
    steps(kept, 6)
    assert seen == [1, 1, 1]
    patches = kept.job.kept
    passes = [[patches.number(3 * turn + i) for i in range(3)] for turn in range(20)]
    assert all(sorted(numbers) == [0, 1, 2] for numbers in passes)
    assert len({tuple(numbers) for numbers in passes}) > 2


def test_the_encoder_stays_as_it_is_and_the_flow_moves(run, deep):
    kept = run(KEPT)
    steps(kept, 1)
    before = {k: v.clone() for k, v in kept.job.model.state_dict().items()}
    steps(kept, 2)
    moved = {k for k, v in kept.job.model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert not any(k.startswith("encoder.") for k in moved)


@pytest.mark.parametrize("change", [{}, {"train.accumulate": 2}, {"train.precision": "bfloat16"}])
def test_the_losses_are_those_of_features_computed_every_time(run, deep, change, monkeypatch):
    kept = run({**KEPT, **change})
    monkeypatch.setattr(kept_patches, "_half", torch.clone)  # as they are
    again = run({**KEPT, **change}, out="again")
    found = steps(kept, 4)
    taken = again.job.stepper.take
    again.job.stepper.take = lambda step, passes, parts, features: taken(step, passes, parts)
    expected = steps(again, 4)
    exact = "train.precision" not in change  # convolutions of bfloat16 differ with the batch's size
    torch.testing.assert_close(found, expected, rtol=1e-6 if exact else 1e-2, atol=1e-6 if exact else 1e-2)


def test_features_are_kept_to_half_precision(run, deep):
    kept: KeptPatches = run(KEPT).job.kept
    images = torch.stack([kept[i][0] for i in range(2)])
    for attempt in range(2):  # computed, and kept
        found = kept.features(range(2), images)
        exact = kept.model.encoder.features(images)
        assert sorted(found) == sorted(exact) == [2, 4]
        for stride in exact:
            assert type(found[stride]) is type(exact[stride])
            pairs = zip(found[stride], exact[stride], strict=True)
            for one, other in pairs:
                assert one.dtype == torch.float32
                torch.testing.assert_close(one, other, rtol=2**-10, atol=1e-6, msg=f"{stride}, {attempt}")
    stored = kept._features[kept.number(0)].values()
    parts = [part for maps in stored for part in (maps if isinstance(maps, PartlyCoarse) else [maps])]
    assert {part.dtype for part in parts} == {torch.float16}


def test_features_in_bfloat16_are_dense_with_channels_last(run, deep):
    deep["encoder"]["scale"] = 4
    kept: KeptPatches = run({**KEPT, "train.precision": "bfloat16"}).job.kept
    images = torch.stack([kept[i][0] for i in range(2)]).contiguous(memory_format=torch.channels_last)
    found = kept.features(range(2), images)
    assert isinstance(kept._features[kept.number(0)][2], PartlyCoarse)  # which takes less memory
    for stride, exact in kept.model.encoder(images).items():
        assert found[stride].dtype == torch.bfloat16
        assert found[stride].is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found[stride].float(), exact, rtol=0.05, atol=0.02)


def test_features_that_float16_cannot_hold_are_kept_as_they_are(run, deep):
    kept = run(KEPT).job.kept
    kept.model.encoder.last.bias.data.fill_(1e6)
    image = kept[0][0][None]
    exact = kept.model.encoder(image)[4]
    torch.testing.assert_close(kept.features(range(1), image)[4], exact, rtol=1e-6, atol=1e-6)


def test_too_many_are_refused_with_the_number_that_fits(run, deep, monkeypatch):
    monkeypatch.setattr(kept_patches, "MOST_BYTES", 50_000)
    with pytest.raises(FlowkitError, match=r"train\.kept_patches: .* 12 patches .* [1-9] patches of this"):
        steps(run({"train.kept_patches": 12}), 1)


def test_a_date_for_the_encoder_contradicts_it():
    with pytest.raises(RecipeError, match='"kept_patches" of train freezes the encoder'):
        TrainOptions(kept_patches=2, encoder_from=3)


def test_a_resumed_run_has_the_losses_of_one_without_a_break(tmp_path, drawn, deep):
    command = ["train", "paper-super-resolve-x4", "--data", str(drawn), "--workers", "0", "--quiet"]
    sets = ["encoder.blocks=2", "encoder.stack=[1]", "encoder.features=4", "encoder.growth=2", "vars.steps=1"]
    sets += ["train.batch=2", "train.patch=32", "train.kept_patches=3", "train.log_every=1", "vars.hidden=4"]
    for change in sets:
        command += ["--set", change]
    for out, numbers in (("whole", [4]), ("parts", [2, 4])):
        for n in numbers:
            more = ["--resume"] if n == 4 and out == "parts" else []
            assert main([*command, "--out", str(tmp_path / out), "--set", f"train.steps={n}", *more]) == 0
    whole, parts = losses(tmp_path / "whole"), losses(tmp_path / "parts")
    assert [whole[n] for n in (1, 2)] == [parts[n] for n in (1, 2)]


def test_a_model_takes_features_that_are_known(deep, perturb):
    model = perturb(build(deep), amount=0.1).eval()
    image, y = torch.rand(1, 3, 8, 12), torch.rand(1, 3, 16, 24)

    def density(*known):
        return model(image, *known).log_prob(y, generator=torch.Generator().manual_seed(0))

    assert torch.equal(density(model.encoder.features(image)), density())
    others = {stride: torch.zeros_like(maps) for stride, maps in model.encoder(image).items()}
    assert not torch.equal(density(others), density())
