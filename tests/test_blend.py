from __future__ import annotations

import json

import pytest
import torch

from flowkit import build, load
from flowkit.blend import blend
from flowkit.checkpoint import RUN_PAGES, TRAIN_PAGES, pack, read_checkpoint, trained_on, write_checkpoint
from flowkit.cli import main
from flowkit.errors import CheckpointError


def recipe(hidden: int = 3) -> dict:
    return {
        "version": 1,
        "encoder": {"type": "unet", "widths": [4, 5]},
        "flow": ["squeeze", "actnorm", "conv1x1", {"type": "affine_coupling", "hidden": hidden}],
    }


@pytest.fixture
def checkpoint(tmp_path, perturb):
    def write(name, seed, pages=(), hidden=3, last=()):
        model = perturb(build(recipe(hidden)), seed=seed)
        path = tmp_path / name
        says = {"recipe": model.recipe, TRAIN_PAGES: json.dumps(pages)}
        if last:
            says[RUN_PAGES] = json.dumps(last)
        write_checkpoint(path, pack(model.state_dict()), says)
        return path, model.state_dict()

    return write


def test_weights_lie_between_and_pages_add_up(checkpoint, tmp_path, capsys):
    (first, before), (second, after) = (
        checkpoint("a.safetensors", 1, ["o", "p"], last=["p"]),
        checkpoint("b.safetensors", 2, ["q", "r"], last=["r"]),
    )
    out = tmp_path / "c.safetensors"
    assert main(["blend", str(first), str(second), str(out), "--share", "0.75"]) == 0
    assert capsys.readouterr().out == f"{out}: 0.25 {first} + 0.75 {second}\n"
    assert trained_on(out) == {"o", "p", "q", "r"}
    assert trained_on(out, last=True) == {"p", "r"}
    found = load(out).state_dict()
    moved = 0
    for name, value in found.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.25 * before[name] + 0.75 * after[name], rtol=1e-3, atol=1e-3)
            moved += not torch.allclose(value, after[name], rtol=1e-2)
    assert moved > 5
    stored, _ = read_checkpoint(out)
    assert {t.dtype for t in stored.values() if t.is_floating_point()} == {torch.float16}


def test_the_ends_are_the_files_themselves(checkpoint, tmp_path):
    (first, before), (second, after) = checkpoint("a.safetensors", 1), checkpoint("b.safetensors", 2)
    for share, expected in ((0.0, before), (1.0, after)):
        blend(first, second, tmp_path / "c.safetensors", share=share, dtype=None)
        for name, value in load(tmp_path / "c.safetensors").state_dict().items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


def test_another_model_and_a_share_out_of_range_are_refused(checkpoint, tmp_path, capsys):
    (first, _), (second, _) = checkpoint("a.safetensors", 1, hidden=4), checkpoint("b.safetensors", 2)
    two_models = r'a\.safetensors: is a model of recipe "unnamed" with flow\[3\]\.hidden 4, expected 3: '
    with pytest.raises(CheckpointError, match=two_models + r"weight .* is \(4,\), expected \(3,"):
        blend(first, second, tmp_path / "c.safetensors")
    assert main(["blend", str(second), str(second), str(tmp_path / "c.safetensors"), "--share", "2"]) == 2
    assert "--share must be from 0 to 1, got 2.0" in capsys.readouterr().err
    assert not (tmp_path / "c.safetensors").exists()
