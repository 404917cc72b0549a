from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from flowkit import build, load, save
from flowkit.checkpoint import read_checkpoint, write_checkpoint
from flowkit.errors import CheckpointError, OutputError
from flowkit.training.start import start_from

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


WEIGHT = "model/layers.2.weight"


def _spoilt(value: float):
    def spoil(tensors):
        tensors[WEIGHT][1, 2] = value

    return spoil


NUMBERS = [
    (_spoilt(math.nan), 'weight "layers.2.weight" has 1 of 16 values that are not finite'),
    (_spoilt(-math.inf), 'weight "layers.2.weight" has 1 of 16 values that are not finite'),
    (
        lambda t: t.update({WEIGHT: t[WEIGHT].to(torch.complex64)}),
        "is torch.complex64, expected torch.float32 or",
    ),
    (
        lambda t: t.update({WEIGHT: t[WEIGHT].long()}),
        "is torch.int64, expected torch.float32 or another floating",
    ),
    (lambda t: t.update({WEIGHT: t[WEIGHT].double() + 1e300}), "has 16 of 16 values that are not finite"),
    (
        lambda t: t.update({"model/layers.1.initialised": torch.tensor(1.0)}),
        'weight "layers.1.initialised" is torch.float32, expected torch.bool$',
    ),
]


@pytest.mark.parametrize(("spoil", "message"), NUMBERS)
def test_weights_that_are_no_finite_real_numbers(checkpoint, spoil, message):
    _rewrite(checkpoint, lambda tensors, metadata: spoil(tensors))
    with pytest.raises(CheckpointError, match=message):
        load(checkpoint)
    with pytest.raises(CheckpointError, match=message):
        start_from(build(RECIPE), checkpoint)
    wider = build(RECIPE, overrides={"encoder.widths": [6, 6]})
    with pytest.raises(CheckpointError, match=message):
        start_from(wider, checkpoint)


def test_real_numbers_of_any_precision_are_weights(checkpoint):
    before = load(checkpoint)
    for dtype in (torch.float64, torch.bfloat16, torch.float16):

        def convert(tensors, metadata, dtype=dtype):
            tensors.update({k: v.to(dtype) for k, v in tensors.items() if v.is_floating_point()})

        _rewrite(checkpoint, convert)
        for a, b in zip(before.parameters(), load(checkpoint).parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0.02, atol=0.02)


def _with_nan(model):
    model.layers[2].weight.data[0, 0] = math.nan


def _with_weight_norm(model):
    torch.nn.utils.parametrizations.weight_norm(model.layers[3].network.mix)


def _with_another_width(model):
    model.layers[2].weight = torch.nn.Parameter(torch.eye(5))


UNLIKE_THE_RECIPE = [
    (_with_nan, 'weight "layers.2.weight" has 1 of 16 values that are not finite'),
    (_with_weight_norm, "network.mix.*, which its recipe does not have"),
    (
        lambda m: m.add_module("head", torch.nn.Linear(2, 3)),
        'holds weight "head.bias", which its recipe does not',
    ),
    (lambda m: delattr(m.layers[2], "weight"), 'weight "layers.2.weight" is missing'),
    (_with_another_width, r'weight "layers.2.weight" is \(5, 5\), expected \(4, 4\)'),
    (lambda m: m.to(torch.complex64), "is torch.complex64, expected torch.float32"),
]


@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
@pytest.mark.parametrize(("change", "message"), UNLIKE_THE_RECIPE)
def test_nothing_is_written_that_would_not_load(change, message, checkpoint, perturb):
    model, before = perturb(build(RECIPE)), checkpoint.read_bytes()
    change(model)
    with pytest.raises(
        CheckpointError, match=f"model.safetensors was not written, load would refuse it: .*{message}"
    ):
        save(model, checkpoint)
    assert checkpoint.read_bytes() == before


def test_saving_draws_no_random_numbers(checkpoint):
    model = build(RECIPE)
    torch.manual_seed(5)
    save(model, checkpoint)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


def test_weights_beyond_the_range_of_float16_are_kept_as_they_are(checkpoint):
    model = build(RECIPE)
    model.layers[2].weight.data[0, 0] = 1e5
    save(model, checkpoint, dtype=torch.float16)
    saved = read_checkpoint(checkpoint)[0]
    assert saved[WEIGHT].dtype == torch.float32
    assert saved["model/layers.1.bias"].dtype == torch.float16
    assert load(checkpoint).layers[2].weight[0, 0] == 1e5


def test_tied_and_transposed_weights_are_written(checkpoint, perturb):
    recipe = {**RECIPE, "flow": [*RECIPE["flow"], "conv1x1"]}
    model = perturb(build(recipe))
    model.layers[4].weight = model.layers[2].weight
    model.layers[2].weight.data = model.layers[2].weight.data.T.contiguous().T
    save(model, checkpoint)
    again = load(checkpoint)
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


def test_the_same_contents_give_the_same_bytes(tmp_path, perturb):
    """safetensors itself orders metadata by a hash that is drawn anew for every file."""
    state = {"b": torch.rand(2, 3), "a": torch.ones(1, dtype=torch.bool), "é": torch.zeros(5).half()}
    metadata = {
        key: f'{key}\n"\\ \x7f\x01é頁' for key in ("progress", "é", "recipe", "a", "train_pages", "z")
    }
    files = [tmp_path / f"{number}.safetensors" for number in range(8)]
    for number, file in enumerate(files):
        turned = dict(sorted(metadata.items(), reverse=number % 2 == 0))
        write_checkpoint(file, state, turned)
    assert len({file.read_bytes() for file in files}) == 1
    found, said = read_checkpoint(files[0])
    assert said == metadata
    assert all(torch.equal(found[key], value) for key, value in state.items())
    write_checkpoint(files[0], state, {})
    assert read_checkpoint(files[0])[1] == {}
