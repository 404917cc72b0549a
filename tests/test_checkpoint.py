from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from flowkit import build, load, save
from flowkit.checkpoint import read_checkpoint
from flowkit.errors import CheckpointError, OutputError

RECIPE = {
    "version": 1,
    "target": {"type": "binary"},
    "encoder": {"type": "unet", "widths": [4, 4]},
    "flow": ["squeeze", "actnorm", "conv1x1", {"type": "affine_coupling", "hidden": 4}],
}


@pytest.fixture
def checkpoint(tmp_path, perturb) -> Path:
    save(perturb(build(RECIPE)), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_checkpoint_needs_no_other_file(checkpoint, perturb):
    torch.manual_seed(1)
    model = load(checkpoint)
    assert not model.training
    saved = read_checkpoint(checkpoint, prefix="model/")[0]
    assert saved.keys() == model.state_dict().keys()
    assert all(torch.equal(saved[k], v) for k, v in model.state_dict().items())
    image = torch.rand(1, 3, 8, 8)
    draws = [
        m(image).sample(1, generator=torch.Generator().manual_seed(0)) for m in (model, load(checkpoint))
    ]
    assert torch.equal(*draws)


def test_half_precision_on_disk_is_single_in_memory(tmp_path, perturb):
    model = perturb(build(RECIPE))
    save(model, tmp_path / "half.safetensors", dtype=torch.float16)
    again = load(tmp_path / "half.safetensors")
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kept", [0, 5, 8, 100, 0.5, -1])
def test_a_truncated_file(checkpoint, kept):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(CheckpointError, match=r"model.safetensors: not a complete safetensors file"):
        load(checkpoint)


def _rewrite(path: Path, change) -> None:
    tensors, metadata = read_checkpoint(path)
    change(tensors, metadata)
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: m.pop("recipe"), "holds no recipe"),
        (lambda t, m: m.update(recipe="version: 1\nflow: [squeze]"), 'unknown layer "squeze"; did you mean'),
        (lambda t, m: t.pop("model/layers.2.weight"), 'weight "layers.2.weight" is missing'),
        (
            lambda t, m: t.update({"model/extra": torch.zeros(1)}),
            'holds weight "extra", which the model does not',
        ),
        (
            lambda t, m: t.update({"model/layers.2.weight": torch.zeros(3, 3)}),
            r'weight "layers.2.weight" is \(3, 3\), expected \(4, 4\)',
        ),
    ],
)
def test_files_of_another_kind(checkpoint, change, message):
    _rewrite(checkpoint, change)
    with pytest.raises(CheckpointError, match=message):
        load(checkpoint)


def test_names_and_places_that_hold_no_weights(tmp_path):
    with pytest.raises(
        CheckpointError, match='no weights called "binarise" ship with flowkit; did you mean "bin'
    ):
        load("binarise")
    with pytest.raises(CheckpointError, match=r"no_such\.safetensors: no such file"):
        load(tmp_path / "no_such.safetensors")
    with pytest.raises(CheckpointError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        save(build(RECIPE), tmp_path / "missing" / "model.safetensors")


def test_a_failed_write_keeps_the_old_file(checkpoint, monkeypatch):
    before = checkpoint.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("flowkit.checkpoint.save_file", fail)
    with pytest.raises(OutputError, match="No space left"):
        save(build(RECIPE), checkpoint)
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_others_may_read_what_was_written(checkpoint, tmp_path):
    (tmp_path / "plain").touch()
    assert checkpoint.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_model_without_a_recipe_is_not_written(tmp_path):
    model = build(RECIPE)
    model.recipe = None
    with pytest.raises(CheckpointError, match="no recipe describes"):
        save(model, tmp_path / "model.safetensors")


def test_pickles_are_not_read(tmp_path):
    torch.save({"model/x": torch.zeros(1)}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="not a complete safetensors file"):
        load(tmp_path / "model.pth")
