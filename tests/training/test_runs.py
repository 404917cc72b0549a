"""Whole runs: what they leave behind, how they go on, what they refuse."""

from __future__ import annotations

import json
import math
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from running import losses, steps

from flowkit import load, read_recipe
from flowkit.checkpoint import read_checkpoint, write_checkpoint
from flowkit.data.fingerprint import fingerprint
from flowkit.errors import CheckpointError, FlowkitError, OutputError, RecipeError
from flowkit.training import loop, preflight, train
from flowkit.training.loop import Run
from flowkit.training.state import BEST, MODEL, Progress, checkpoints


def test_a_run_leaves_a_model_a_log_and_pictures(tiny, drawn, tmp_path):
    out = tmp_path / "run"
    model = train(read_recipe(tiny), [drawn], out, quiet=True, workers=0)
    again = load(out / MODEL)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=1e-3, atol=1e-6)
    assert again.recipe == model.recipe
    assert read_recipe(out / "recipe.yaml") == read_recipe(tiny)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert all(math.isfinite(line["bits_per_dim"]) and 0 <= line["waiting"] <= 1 for line in lines)
    with Image.open(out / "curves.png") as picture:
        assert picture.width > 500


def test_every_file_says_which_pages_it_was_trained_on(run, drawn):
    trained = run()
    trained.go()
    pages = []
    for file in sorted((drawn / "img").glob("*")):
        with Image.open(file) as image:
            pages.append(fingerprint(np.asarray(image.convert("RGB"))))
    pages.sort()
    for file in (trained.out / MODEL, *checkpoints(trained.out)):
        assert json.loads(read_checkpoint(file)[1]["train_pages"]) == pages


def test_pages_that_the_weights_had_seen_before_are_known_after_resuming(run):
    begun = run()
    begun.keeper.before = frozenset({"seen before"})
    begun.go()
    resumed = run({"train.steps": 7}, resume=True)
    resumed.go()
    pages = json.loads(read_checkpoint(resumed.out / MODEL)[1]["train_pages"])
    assert sorted(pages) == sorted(["seen before", *begun.keeper.pages])


def test_the_latest_checkpoints_are_kept_and_the_best(run):
    options = {"train.save_every": 2, "train.keep": 2, "train.validate_every": 3}
    trained = run(options, validation=0.5)
    scores = iter([{"bits_per_dim": 1.0}, {"bits_per_dim": 2.0}])
    trained.job.validation.score = lambda model, processes: next(scores)
    trained.go()
    assert [path.stem for path in checkpoints(trained.out)] == ["step_00000004", "step_00000006"]
    tensors, metadata = read_checkpoint(trained.out / BEST)
    assert metadata["step"] == "3"
    assert {name.split("/")[0] for name in tensors} == {"model", "raw", "optimizer"}
    load(trained.out / BEST)


def test_training_lowers_the_loss(run):
    found = steps(run({"train.steps": 80}), 80)
    assert sum(found[-10:]) < 0.8 * sum(found[:10])


def test_super_resolution_trains_on_images_alone(tiny, drawn, tmp_path):
    recipe = {
        **tiny,
        "target": {"type": "continuous"},
        "encoder": {"type": "rrdb", "scale": 4, "features": 4, "growth": 2, "blocks": 1, "stack": [0]},
    }
    model = train(read_recipe(recipe), [drawn / "img"], tmp_path / "run", quiet=True, workers=0)
    assert model(torch.rand(1, 3, 4, 6)).sample(1).shape == (1, 1, 3, 16, 24)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_saved_and_goes_on(number, run, tmp_path, monkeypatch):
    whole = run(out="whole")
    whole.go()
    advance = Run.advance

    def interrupted(self, passes):
        if self.progress.step == 2:
            signal.raise_signal(number)
        return advance(self, passes)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit) as stopped:
            run().go()
    assert number == signal.SIGINT or stopped.value.code == 0
    assert [path.stem for path in checkpoints(tmp_path / "run")] == ["step_00000003"]
    resumed = run(resume=True)
    resumed.go()
    assert losses(resumed.out) == losses(whole.out)
    for key, value in whole.average.state.items():
        assert torch.equal(resumed.average.state[key], value), key


def test_what_would_fail_later_is_refused_first(run, drawn, tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match="no checkpoints, nothing to resume"):
        run(out="c", resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made a folder"):
        preflight.check_out(tmp_path / "file" / "run", resume=False)
    with monkeypatch.context() as patch:
        patch.setattr(preflight.os, "access", lambda path, mode: False)  # root may write anywhere
        with pytest.raises(OutputError, match=f"no permission in {tmp_path}"):
            preflight.check_out(tmp_path / "a" / "run", resume=False)
    with monkeypatch.context() as patch:
        patch.setattr(preflight.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
        with pytest.raises(OutputError, match=r"2 checkpoints, the best and the next one need \d+ MB, and"):
            run(out="d")
    assert not (tmp_path / "d").exists()
    run().go()
    with pytest.raises(OutputError, match="holds a run already; resume it"):
        preflight.check_out(tmp_path / "run", resume=False)
    with pytest.raises(CheckpointError, match="is of another model; only the `train` section"):
        run({"vars.steps": 2}, resume=True)


def test_a_run_is_not_resumed_on_other_pages(run, job, drawn, tmp_path):
    run().go()
    other = job()
    gone, *kept = sorted(other.data.fingerprints)
    other.data.fingerprints = frozenset([*kept, "0123456789abcdef"])
    with pytest.raises(CheckpointError) as error:
        Run(other, tmp_path / "run", resume=True)
    assert f"1 are not there now ({gone}), 1 are new (0123456789abcdef)" in str(error.value)


def test_a_run_may_go_on_with_other_training_options(run, tmp_path):
    run().go()
    longer = run({"train.steps": 8, "train.lr": 0.001}, resume=True)
    longer.go()
    metadata = read_checkpoint(checkpoints(tmp_path / "run")[-1])[1]
    assert (metadata["step"], metadata["recipe"]) == ("8", longer.job.recipe.text())


def test_a_resumed_run_goes_on_with_the_next_samples_whatever_the_batch(run):
    run().go()
    resumed = run({"train.steps": 8, "train.batch": 5}, resume=True)
    assert (resumed.progress.step, resumed.progress.position) == (6, 12)
    steps(resumed, 2)
    assert resumed.progress.position == 22


def test_a_checkpoint_of_something_else_is_not_resumed(run):
    first = run()
    first.go()
    for path in checkpoints(first.out):
        (first.out / MODEL).replace(path)
    with pytest.raises(CheckpointError, match="not a training checkpoint of this recipe"):
        run(resume=True)


@pytest.mark.parametrize("start", ["raw/", "model/", "optimizer/"])
def test_a_checkpoint_that_is_not_finite_is_not_resumed(run, start):
    first = run()
    first.go()
    for path in checkpoints(first.out):
        tensors, metadata = read_checkpoint(path)
        name = next(key for key in tensors if key.startswith(start) and tensors[key].dim() > 1)
        tensors[name].view(-1)[0] = math.nan
        write_checkpoint(path, tensors, metadata)
    with pytest.raises(CheckpointError, match=r"has 1 of \d+ values that are not finite"):
        run(resume=True)


def test_too_many_steps_that_are_not_finite_end_a_run(run, monkeypatch):
    broken = run({"train.steps": 50})
    [first] = broken.job.batches(0, 1)
    spoilt = (first[0] * math.nan, first[1])
    monkeypatch.setattr(loop, "MOST_SKIPPED", 3)
    broken.out.mkdir()
    for batch in (first, spoilt, first, spoilt):
        broken.advance([batch])
    assert broken.progress.skipped == [2, 4]
    with pytest.raises(FlowkitError, match=r"3 of the last 200 steps up to step 5 .* lower train.lr"):
        broken.advance([spoilt])
    assert all(v.isfinite().all() for v in broken.average.state.values() if v.is_floating_point())
    resumed = run({"train.steps": 50}, resume=True)
    assert (resumed.progress.skipped, resumed.progress.skipped_in_all) == ([], 3)
    assert math.isfinite(steps(resumed, 1)[0])


def test_steps_that_were_not_finite_are_forgotten_in_time():
    progress = Progress()
    for progress.step in (5, 100, 205):
        progress.skip()
    assert (progress.skipped, progress.skipped_in_all) == ([100, 205], 3)


def test_shipped_recipes_train_a_step(drawn, tmp_path):
    small = {"vars.steps": 1, "vars.hidden": 4, "train.steps": 1, "train.batch": 1}
    rrdb = {"encoder.blocks": 1, "encoder.stack": [0], "encoder.features": 4, "encoder.growth": 2}
    for name, more in {
        "paper-binarize": {**rrdb, "train.patch": 32},
        "binarize": {"encoder.widths": [4, 4], "train.patch": 32},
        "paper-super-resolve-x4": {**rrdb, "train.patch": 32},
        "super-resolve-x8": {**rrdb, "train.patch": 32},
        "super-resolve-binarize-x4": {"encoder.widths": [4, 4], "train.patch": 32},
    }.items():
        recipe = read_recipe(name, {**small, **more})
        model = train(recipe, [drawn], tmp_path / name, quiet=True, workers=0)
        p = model(torch.rand(1, model.in_channels, 8, 10))
        assert p.sample(2, temperature=0.7).isfinite().all()
        assert read_checkpoint(tmp_path / name / MODEL)[1]["recipe"] == recipe.text()


def test_images_are_degraded_as_the_recipe_says(job):
    plain, darker = (job({"train.degrade": spec}).data for spec in ([], [{"type": "gamma", "gamma": [2, 2]}]))
    for index in range(4):
        (before, ink), (after, same) = plain[index], darker[index]
        torch.testing.assert_close(after, before**2, atol=1e-5, rtol=0)
        assert torch.equal(ink, same)


def test_degradations_that_nobody_knows(job):
    with pytest.raises(RecipeError, match=r'unknown preset "archiv"; did you mean "archive"'):
        job({"train.degrade": "archiv"})


def test_the_same_training_gives_the_same_files(run):
    folders = []
    for name in ("first", "second"):
        trained = run({"train.save_every": 3}, out=name)
        trained.go()
        folders.append(trained.out)
    first, second = ({p.relative_to(f): p for p in f.rglob("*.safetensors")} for f in folders)
    assert first.keys() == second.keys()
    assert len(first) == 3  # the model, and two checkpoints
    for place, path in first.items():
        assert path.read_bytes() == second[place].read_bytes(), place
