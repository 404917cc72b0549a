from __future__ import annotations

import json
import math
import signal

import pytest
import torch

from flowkit import load, read_recipe
from flowkit.checkpoint import read_checkpoint
from flowkit.errors import CheckpointError, DataError, FlowkitError, OutputError
from flowkit.training import loop, train
from flowkit.training.average import Average
from flowkit.training.loop import LAST, MODEL, Run
from flowkit.training.schedule import learning_rate

TINY = {
    "version": 1,
    "name": "tiny",
    "vars": {"steps": 1},
    "target": {"type": "binary"},
    "encoder": {"type": "unet", "widths": [4, 6]},
    "flow": ["squeeze", {"repeat": "$steps", "steps": ["actnorm", "conv1x1", "affine_injector"]}],
    "train": {"steps": 6, "batch": 2, "patch": 32, "warmup": 2, "lr": 0.01},
}


def test_a_run_leaves_a_model_and_a_log(drawn, tmp_path):
    model = train(read_recipe(TINY), [drawn], tmp_path / "run", quiet=True)
    again = load(tmp_path / "run" / MODEL)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=1e-3, atol=1e-6)
    assert again.recipe == model.recipe
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 6
    assert math.isfinite(lines[-1]["bits_per_dim"])


def test_a_resumed_run_ends_with_the_same_weights(drawn, tmp_path):
    whole = train(read_recipe(TINY), [drawn], tmp_path / "whole", quiet=True)
    broken = Run(read_recipe(TINY), [drawn], tmp_path / "broken", resume=False, device="cpu")
    broken.model.train()
    for _ in range(3):
        broken.advance()
    broken.save()
    broken.advance()  # lost: not saved
    resumed = train(read_recipe(TINY), [drawn], tmp_path / "broken", resume=True, quiet=True)
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


def test_training_lowers_the_loss(drawn, tmp_path):
    run = Run(read_recipe(TINY, {"train.steps": 80}), [drawn], tmp_path / "run", resume=False, device="cpu")
    run.model.train()
    losses = [run.advance()[0] for _ in range(80)]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_a_step_that_is_not_finite_changes_nothing(drawn, tmp_path, monkeypatch):
    run = Run(read_recipe(TINY), [drawn], tmp_path / "run", resume=False, device="cpu")
    run.model.train()
    run.advance()
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    image, target = run.patches.batch(2)
    monkeypatch.setattr(run.patches, "batch", lambda n: (image * math.nan, target))
    run.advance()
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())
    assert all(v.isfinite().all() for v in run.average.state.values() if v.is_floating_point())
    monkeypatch.setattr(loop, "MOST_SKIPPED", 3)
    run.options = read_recipe(TINY, {"train.steps": 50}).train
    with pytest.raises(FlowkitError, match="not finite for 3 steps up to step 5; .* lower train.lr"):
        run.go(quiet=True)


def test_super_resolution_trains_on_images_alone(drawn, tmp_path):
    recipe = {
        **TINY,
        "target": {"type": "continuous"},
        "encoder": {"type": "rrdb", "scale": 4, "features": 4, "growth": 2, "blocks": 1, "stack": [0]},
    }
    model = train(read_recipe(recipe), [drawn / "img"], tmp_path / "run", quiet=True)
    assert model(torch.rand(1, 3, 4, 6)).sample(1).shape == (1, 1, 3, 16, 24)


def test_schedule():
    options = read_recipe(TINY, {"train.steps": 102, "train.lr": 1.0}).train
    rates = [learning_rate(step, options) for step in range(103)]
    assert rates[:2] == [0.5, 1.0]
    assert rates[2] == 1.0
    assert rates[52] == pytest.approx(0.505)
    assert rates[102] == pytest.approx(0.01)
    assert learning_rate(90, read_recipe(TINY, {"train.schedule": "constant"}).train) == 0.01


def test_the_average_moves_slowly_in_the_long_run_and_quickly_at_first():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    average = Average(model, 0.9)
    torch.nn.init.ones_(model.weight)
    average.update(model, 1)
    assert average.state["weight"].item() == pytest.approx(1 - 2 / 11)
    average.load({"weight": torch.zeros(1, 1)})
    average.update(model, 1000)
    assert average.state["weight"].item() == pytest.approx(0.1)


def test_a_first_step_that_is_not_finite_leaves_actnorms_to_the_next(drawn, tmp_path, monkeypatch):
    run = Run(read_recipe(TINY), [drawn], tmp_path / "run", resume=False, device="cpu")
    run.model.train()
    image, target = run.patches.batch(2)
    with monkeypatch.context() as patch:
        patch.setattr(run.patches, "batch", lambda n: (image * math.nan, target))
        run.advance()
    assert not run.model.state_dict()["layers.1.initialised"]
    run.advance()
    assert run.model.state_dict()["layers.1.initialised"]
    assert all(v.isfinite().all() for v in run.model.state_dict().values() if v.is_floating_point())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_saved_and_goes_on(number, drawn, tmp_path, monkeypatch):
    whole = train(read_recipe(TINY), [drawn], tmp_path / "whole", quiet=True)
    advance = Run.advance

    def interrupted(self):
        if self.step == 2:
            signal.raise_signal(number)
        return advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(read_recipe(TINY), [drawn], tmp_path / "run", quiet=True)
    assert read_checkpoint(tmp_path / "run" / LAST)[1]["step"] == "3"
    resumed = train(read_recipe(TINY), [drawn], tmp_path / "run", resume=True, quiet=True)
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


def test_a_resumed_log_has_every_step_once(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    monkeypatch.setattr(loop, "SAVE_EVERY", 4)
    advance = Run.advance

    def failing(self):
        if self.step == 5:
            raise RuntimeError("power cut")
        return advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", failing)
        with pytest.raises(RuntimeError):
            train(read_recipe(TINY), [drawn], tmp_path / "run", quiet=True)
    train(read_recipe(TINY), [drawn], tmp_path / "run", resume=True, quiet=True)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_what_would_fail_later_is_refused_first(drawn, tmp_path):
    recipe = read_recipe(TINY)
    with pytest.raises(DataError, match="expected a folder `img` with a folder `gt` beside it"):
        train(recipe, [tmp_path / "nowhere"], tmp_path / "a", quiet=True)
    with pytest.raises(DataError, match=r"train.patch must be a multiple of 2 for this flow, got 33"):
        train(read_recipe(TINY, {"train.patch": 33}), [drawn], tmp_path / "b", quiet=True)
    with pytest.raises(FlowkitError, match='device "foo" cannot be used: '):
        train(recipe, [drawn], tmp_path / "d", device="foo", quiet=True)
    with pytest.raises(DataError, match="encoder.in_channels is 1"):
        train(read_recipe(TINY, {"encoder.in_channels": 1}), [drawn], tmp_path / "e", quiet=True)
    assert not any((tmp_path / name).exists() for name in "abde")
    with pytest.raises(CheckpointError, match="nothing to resume"):
        train(recipe, [drawn], tmp_path / "c", resume=True, quiet=True)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made a folder"):
        train(recipe, [drawn], tmp_path / "file" / "run", quiet=True)
    train(recipe, [drawn], tmp_path / "run", quiet=True)
    with pytest.raises(OutputError, match="holds a run already; resume it"):
        train(recipe, [drawn], tmp_path / "run", quiet=True)
    with pytest.raises(CheckpointError, match="is of another model; only the `train` section"):
        train(read_recipe(TINY, {"vars.steps": 2}), [drawn], tmp_path / "run", resume=True, quiet=True)


def test_a_run_may_go_on_with_other_training_options(drawn, tmp_path):
    train(read_recipe(TINY), [drawn], tmp_path / "run", quiet=True)
    longer = read_recipe(TINY, {"train.steps": 8, "train.lr": 0.001})
    train(longer, [drawn], tmp_path / "run", resume=True, quiet=True)
    metadata = read_checkpoint(tmp_path / "run" / LAST)[1]
    assert (metadata["step"], metadata["recipe"]) == ("8", longer.text())


def test_a_checkpoint_of_something_else_is_not_resumed(drawn, tmp_path):
    run = Run(read_recipe(TINY), [drawn], tmp_path / "run", resume=False, device="cpu")
    run.save()
    (tmp_path / "run" / MODEL).replace(tmp_path / "run" / LAST)
    with pytest.raises(CheckpointError, match="not a training checkpoint of this recipe"):
        Run(read_recipe(TINY), [drawn], tmp_path / "run", resume=True, device="cpu")


def test_shipped_recipes_train_a_step(drawn, tmp_path):
    small = {"vars.steps": 1, "vars.hidden": 4, "train.steps": 1, "train.batch": 1}
    rrdb = {"encoder.blocks": 1, "encoder.stack": [0], "encoder.features": 4, "encoder.growth": 2}
    for name, more in {
        "binarize": {**rrdb, "train.patch": 32},
        "binarize_small": {"encoder.widths": [4, 4], "train.patch": 32},
        "super_resolve_x4": {**rrdb, "train.patch": 32},
    }.items():
        recipe = read_recipe(name, {**small, **more})
        model = train(recipe, [drawn], tmp_path / name, quiet=True)
        p = model(torch.rand(1, 3, 8, 10))
        assert p.sample(2, temperature=0.7).isfinite().all()
        assert read_checkpoint(tmp_path / name / MODEL)[1]["recipe"] == recipe.text()
