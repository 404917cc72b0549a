"""A run that is killed at the worst moments, and one whose disk is full."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch
from running import losses

from flowkit import checkpoint, load
from flowkit.errors import OutputError
from flowkit.recipe import read_recipe
from flowkit.training import state
from flowkit.training.loop import Run
from flowkit.training.state import MODEL, checkpoints
from flowkit.training.step import Stepper

OFTEN = {"train.save_every": 2, "train.steps": 7}


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_step(patch):
    take = Stepper.take

    def dying(self, step, passes, indices):
        return die() if step == 3 else take(self, step, passes, indices)

    patch.setattr(Stepper, "take", dying)


def half_way_through_a_checkpoint(patch):
    save_file = checkpoint.save_file

    def dying(tensors, draft, metadata):
        save_file(tensors, draft, metadata)
        if metadata["step"] == "4":
            os.truncate(draft, draft.stat().st_size // 2)
            die()

    patch.setattr(checkpoint, "save_file", dying)


def before_old_checkpoints_are_removed(patch):
    patch.setattr(state.Keeper, "save_model", lambda self, average, progress: progress.step == 6 and die())


def in_a_line_of_the_log(patch):
    save = Run.save

    def dying(self, log, **options):
        save(self, log, **options)
        if self.progress.step == 4:
            with log.path.open("a") as file:
                file.write('{"step": 5, "bits_per')
            die()

    patch.setattr(Run, "save", dying)


MOMENTS = {
    in_a_step: 2,
    half_way_through_a_checkpoint: 2,
    before_old_checkpoints_are_removed: 6,
    in_a_line_of_the_log: 4,
}


@pytest.mark.parametrize(("moment", "saved"), MOMENTS.items(), ids=lambda m: getattr(m, "__name__", m))
def test_a_killed_run_goes_on_to_the_same_losses(moment, saved, run, monkeypatch):
    def killed():
        moment(monkeypatch)
        run(OFTEN).go()

    whole = run(OFTEN, out="whole")
    whole.go()
    child = multiprocessing.get_context("fork").Process(target=killed)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    resumed = run(OFTEN, resume=True)
    assert resumed.progress.step == saved
    resumed.go()
    assert losses(resumed.out) == losses(whole.out)
    assert sorted(losses(whole.out)) == [1, 2, 3, 4, 5, 6, 7]
    for key, value in whole.average.state.items():
        assert torch.equal(resumed.average.state[key], value), key
    assert [p.name for p in resumed.out.rglob(".*")] == []  # no half-written files
    assert len(checkpoints(resumed.out)) == 2


@pytest.mark.slow
def test_the_command_line_with_workers_is_killed_and_goes_on(tiny, drawn, run, tmp_path):
    endless = {**OFTEN, "train.steps": 1000, "train.schedule": "constant"}
    (tmp_path / "tiny.yaml").write_text(read_recipe(tiny, endless).text())
    out = tmp_path / "run"
    command = [sys.executable, "-m", "flowkit", "train", str(tmp_path / "tiny.yaml"), "--data", str(drawn)]
    command += ["--out", str(out), "--workers", "2", "--threads", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as child:
        while child.stderr.read(1):  # the bar moves with the steps
            if len(checkpoints(out)) == 2:
                break
        child.kill()
    done = subprocess.run([*command, "--resume", "--set", "train.steps=60"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole = run({**endless, "train.steps": 60}, out="whole")
    whole.go()
    found, wanted = losses(out), losses(whole.out)
    assert {step: found[step] for step in wanted} == wanted


@pytest.mark.slow
def test_sigterm_saves_and_exits_with_0(tiny, drawn, tmp_path):
    (tmp_path / "tiny.yaml").write_text(read_recipe(tiny, {"train.steps": 100_000}).text())
    out = tmp_path / "run"
    command = [sys.executable, "-m", "flowkit", "train", str(tmp_path / "tiny.yaml"), "--data", str(drawn)]
    command += ["--out", str(out), "--workers", "1", "--threads", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as child:
        seen = ""
        while "bits/dim" not in seen:
            seen += child.stderr.read(1)
        os.killpg(child.pid, signal.SIGTERM)  # as a scheduler does: the workers get it too
        rest = child.stderr.read()
    assert child.returncode == 0, rest
    assert "--resume goes on from there" in rest
    assert "Traceback" not in rest
    assert len(checkpoints(out)) == 1


@contextmanager
def disk_that_fills():
    """Yields what fills it: from then on no file may grow beyond a few bytes, test output included."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # else the kernel kills
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_leaves_the_last_good_checkpoint(run, capsys, monkeypatch):
    filled = run(OFTEN)
    take = Stepper.take

    def filling(self, step, passes, indices):
        if step == 2:
            fill()
        return take(self, step, passes, indices)

    monkeypatch.setattr(Stepper, "take", filling)
    refused = pytest.raises(OutputError, match=r"00007.safetensors: cannot be written \(.*File too large")
    with refused, disk_that_fills() as fill:
        filled.go()
    said = capsys.readouterr().err
    assert "step_00000004.safetensors: cannot be written" in said
    assert "going on, the checkpoints before it are whole" in said
    assert [path.stem for path in checkpoints(filled.out)] == ["step_00000002"]
    load(checkpoints(filled.out)[0])
    load(filled.out / MODEL)


def test_room_again_and_the_run_ends_well(run, monkeypatch):
    filled, save_file, fails = run(OFTEN), checkpoint.save_file, iter([False, False, True])

    def sometimes(tensors, draft, metadata):
        if next(fails, False):
            raise OSError(28, "No space left on device")
        save_file(tensors, draft, metadata)

    monkeypatch.setattr(checkpoint, "save_file", sometimes)
    filled.go()
    assert [path.stem for path in checkpoints(filled.out)] == ["step_00000006", "step_00000007"]


def test_a_damaged_checkpoint_is_passed_over(run, capsys):
    run(OFTEN).go()
    out = run(OFTEN, out="other").out.parent / "run"
    latest = checkpoints(out)[-1]
    os.truncate(latest, 1000)
    resumed = run(OFTEN, resume=True)
    assert resumed.progress.step == 6
    assert f"{latest}: not a complete safetensors file" in capsys.readouterr().err
