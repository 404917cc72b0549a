"""What a run tells those who watch, and the plan of one."""

from __future__ import annotations

import sys

import pytest
import torch
from PIL import Image

from flowkit import build, save
from flowkit.checkpoint import trained_on
from flowkit.cli import main
from flowkit.errors import CheckpointError, FlowkitError
from flowkit.recipe import read_recipe
from flowkit.training import log as log_module
from flowkit.training.log import Log, read_log
from flowkit.training.start import start_from


def test_a_log_goes_on_without_what_was_lost(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    log = Log(tmp_path, "bits", 2, 9, quiet=True, tensorboard=False)
    log.write(3, {"bits_per_dim": 1.5})
    log.close()
    assert read_log(log.path) == [
        {"step": 1},
        {"step": 2},
        {"step": 3, "target": "bits", "bits_per_dim": 1.5},
    ]


def test_a_log_that_cannot_be_written_is_no_reason_to_stop(tmp_path, capsys):
    log = Log(tmp_path, "bits", 0, 9, quiet=True, tensorboard=False)
    log.path.mkdir()
    log.write(1, {"bits_per_dim": 1.5})
    assert f"{log.path}: cannot be written" in capsys.readouterr().err


def test_speed_is_since_the_last_line(tmp_path, monkeypatch):
    clock = iter([0.0, 4.0, 5.0])
    monkeypatch.setattr(log_module.time, "monotonic", lambda: next(clock))
    log = Log(tmp_path, "bits", 0, 9, quiet=True, tensorboard=False)
    log.show(1.0, 2.0, waited=1.0)
    log.show(1.0, 2.0, waited=0.0)
    assert log.speed() == {"steps_per_s": 0.5, "waiting": 0.25}
    assert log.speed() == {"steps_per_s": 0.0, "waiting": 0.0}


def test_tensorboard_has_scalars_and_pictures(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = Log(tmp_path, "bits", 0, 9, quiet=True, tensorboard=True)
    log.write(3, {"bits_per_dim": 1.5, "validation_f_measure": 90.0})
    log.picture(3, torch.zeros(4, 5, 3, dtype=torch.uint8).numpy())
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("bits_per_dim")] == [(3, 1.5)]
    assert [(e.step, e.value) for e in events.Scalars("validation/f_measure")] == [(3, 90.0)]
    assert [e.step for e in events.Images("samples")] == [3]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(FlowkitError, match=r"pip install 'flowkit-nf\[train\]'"):
        Log(tmp_path, "bits", 0, 9, quiet=True, tensorboard=True)


def test_a_dry_run_prints_the_plan_and_writes_nothing(tiny, drawn, tmp_path, capsys):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(read_recipe(tiny, {"train.accumulate": 2}).text())
    out = tmp_path / "run"
    command = ["train", str(recipe), "--data", str(drawn), "--out", str(out), "--workers", "0", "--dry-run"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = dict(line.split(maxsplit=1) for line in lines if not line.startswith(" "))
    assert list(rows) == [
        "recipe",
        "data",
        "validation",
        "parameters",
        "losses",
        "step",
        "memory",
        "checkpoint",
        "time",
    ]
    parameters = sum(p.numel() for p in build(tiny).parameters())
    assert rows["parameters"].startswith(f"{parameters:,} (")
    assert rows["step"] == "4 patches of 32 x 32 (2 per pass, 2 passes, 1 processes)"
    assert "6 steps in 0:0" in rows["time"]
    assert sorted(tmp_path.iterdir()) == [recipe]
    out.mkdir()
    (out / "metrics.jsonl").touch()
    assert main(command) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_the_verb_trains_from_given_weights(tiny, drawn, tmp_path, capsys):
    recipe, weights = tmp_path / "tiny.yaml", tmp_path / "weights.safetensors"
    recipe.write_text(read_recipe(tiny).text())
    model = build(tiny)
    save(model, weights)
    command = [
        "train",
        str(recipe),
        "--data",
        str(drawn),
        "--workers",
        "0",
        "--quiet",
        "--init",
        str(weights),
    ]
    assert main([*command, "--out", str(tmp_path / "run"), "--set", "train.steps=1"]) == 0
    assert "model.safetensors: tiny, 1 steps" in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "other"), "--set", "vars.steps=2"]) == 2
    assert (
        'weights.safetensors: is a model of recipe "tiny" with vars.steps 1, expected 2: '
        'weight "layers.4.bias" is missing'
    ) in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    first = trained_on(tmp_path / "run" / "model.safetensors")
    more = tmp_path / "more"
    for side in ("img", "gt"):
        (more / side).mkdir(parents=True)
        with Image.open(drawn / side / "0.png") as image:
            image.transpose(Image.Transpose.ROTATE_90).save(more / side / "0.png")
    command[command.index(str(drawn))] = str(more)
    command[command.index(str(weights))] = str(tmp_path / "run" / "model.safetensors")
    for steps, resume in ((1, []), (2, ["--resume"])):
        again = [*command, "--out", str(tmp_path / "again"), "--set", f"train.steps={steps}"]
        if resume:
            del again[again.index("--init") : again.index("--init") + 2]
        assert main([*again, *resume]) == 0
        seen = trained_on(tmp_path / "again" / "model.safetensors")
        assert seen > first
        assert len(seen) == len(first) + 1
        assert trained_on(tmp_path / "again" / "model.safetensors", last=True) == seen - first
    for value in model.parameters():
        torch.nn.init.constant_(value, 0.5)
    save(model, weights)
    started = build(tiny)
    start_from(started, weights)
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in started.state_dict().items())


def test_channels_that_the_checkpoint_does_not_know_change_nothing_at_first(tmp_path):
    recipe = {
        "version": 1,
        "target": {"type": "binary"},
        "encoder": {"type": "unet", "widths": [3, 4], "in_channels": 1},
        "flow": ["squeeze", {"type": "affine_coupling", "hidden": 4}],
    }
    torch.manual_seed(1)
    known = build(recipe).eval()
    for value in known.parameters():
        torch.nn.init.normal_(value, std=0.3)
    save(known, tmp_path / "known.safetensors")
    wider = build({**recipe, "encoder": {**recipe["encoder"], "contrast": [3]}}).eval()
    start_from(wider, tmp_path / "known.safetensors")
    image, y = torch.rand(2, 1, 1, 8, 12)
    y = y > 0.5
    torch.testing.assert_close(wider(image).encode(y), known(image).encode(y))
    with pytest.raises(CheckpointError, match=r"is \(3, 9, 3, 3\), expected \(3, 4, 3, 3\)"):
        save(wider, tmp_path / "wider.safetensors")
        start_from(known, tmp_path / "wider.safetensors")


@pytest.mark.parametrize("widths", [[5, 4], [3, 4, 6], [4, 7, 5, 2]])
@pytest.mark.parametrize("training", [False, True])
def test_a_larger_unet_computes_what_the_checkpoint_did(tmp_path, widths, training):
    encoder = {"type": "unet", "widths": [3, 4], "blocks": 2}
    step = {"type": "affine_coupling", "hidden": 4, "kernel": 1}
    recipe = {"version": 1, "target": {"type": "binary"}, "encoder": encoder, "flow": ["squeeze", step]}
    torch.manual_seed(1)
    known = build(recipe)
    for name, value in known.state_dict().items():
        if value.is_floating_point():
            torch.nn.init.uniform_(value, *((0.5, 1.5) if name.endswith("var") else (-0.5, 0.5)))
    save(known, tmp_path / "known.safetensors")
    larger = build({**recipe, "encoder": {**encoder, "widths": widths}})
    start_from(larger, tmp_path / "known.safetensors")
    known, larger = known.double().train(training), larger.double().train(training)
    image, y = torch.rand(2, 3, 22, 30, dtype=torch.float64), torch.rand(2, 1, 22, 30).round().double()
    uniform = torch.rand_like(y)
    expected = known(image).log_prob(y, generator=uniform)
    found = larger(image).log_prob(y, generator=uniform)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    optimizer = torch.optim.SGD(larger.parameters(), lr=0.01)
    for _ in range(3):  # at first only what reads the new parts has a gradient
        optimizer.zero_grad()
        torch.autograd.backward(-larger(image).log_prob(y, generator=uniform).mean())
        optimizer.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in larger.encoder.parameters())


def test_a_smaller_unet_is_refused(tiny, tmp_path):
    save(build(tiny), tmp_path / "known.safetensors")
    tiny["encoder"]["widths"] = [4]
    with pytest.raises(
        CheckpointError,
        match=r"recipe \"tiny\" with encoder\.widths .*: holds weight .*, which the model does not have",
    ):
        start_from(build(tiny), tmp_path / "known.safetensors")
    tiny["encoder"]["widths"] = [4, 5]
    with pytest.raises(CheckpointError, match=r"is \(6, 4, 3, 3\), expected \(5, 4, 3, 3\)"):
        start_from(build(tiny), tmp_path / "known.safetensors")


def test_an_encoder_starts_from_rrdb_weights(tiny, tmp_path):
    shape = {"type": "rrdb", "features": 4, "growth": 2, "blocks": 1, "stack": [0], "scale": 2}
    recipe = {**tiny, "target": {"type": "continuous"}, "encoder": shape}
    names = {"conv_first": (4, 3), "conv_body": (4, 4), "conv_up1": (4, 4)}
    names |= {
        f"body.0.rdb{r}.conv{k + 1}": (2 if k < 4 else 4, 4 + 2 * k) for r in (1, 2, 3) for k in range(5)
    }
    names |= {"conv_hr": (4, 4), "conv_last": (3, 4)}
    state = {f"{name}.weight": torch.randn(*shape, 3, 3) for name, shape in names.items()}
    state |= {f"{name}.bias": torch.randn(shape[0]) for name, shape in names.items()}
    torch.save({"params_ema": state}, tmp_path / "rrdb.pth")
    model = build(recipe)
    start_from(model, tmp_path / "rrdb.pth")
    assert torch.equal(model.encoder.first.weight, state["conv_first.weight"])
    with pytest.raises(CheckpointError, match="are for encoders of type rrdb"):
        start_from(build(tiny), tmp_path / "rrdb.pth")
