"""Training on data of the caller's own: no files, any number of channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from flowkit.data import Endless, Found, Pair, Source, Task
from flowkit.data.examples import ExampleSet
from flowkit.errors import DataError
from flowkit.recipe import build, read_recipe
from flowkit.training import train

RECIPE = {
    "version": 1,
    "name": "own",
    "vars": {"channels": 5},
    "target": {"type": "continuous", "channels": 2, "noise": "none"},
    "encoder": {"type": "unet", "in_channels": "$channels", "widths": [4]},
    "flow": ["squeeze", "actnorm", "conv1x1", {"type": "affine_injector", "hidden": 4}],
    "train": {"steps": 2, "batch": 2, "patch": 8, "validation_windows": 4, "warmup": 0},
}
INK = {**RECIPE, "vars": {"channels": 3}, "target": {"type": "binary"}}


def pair(index: int, size: tuple[int, int] = (8, 12)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(index)
    image = torch.rand(5, *size, generator=generator)
    return image, torch.stack([image[:2].mean(0), image[2:].mean(0)])


class Planes(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, target = pair(index)
        return image.double().numpy(), target.half().numpy()


def samples(data: Any, **options: Any) -> ExampleSet:
    chosen = {"patch": 8, "seed": 0, "length": 64} | options
    return ExampleSet(data, build(RECIPE), **chosen)


KINDS = [[pair(i) for i in range(4)], [tuple(map(np.asarray, pair(i))) for i in range(4)], Planes(), pair]


@pytest.mark.parametrize("data", KINDS, ids=["tensors", "arrays", "dataset", "function"])
def test_any_kind_of_own_data_is_trained_on(data, tmp_path):
    share = {} if callable(data) and not isinstance(data, Dataset) else {"validation": 0.25}
    model = train(read_recipe(RECIPE), data, tmp_path / "run", quiet=True, workers=0, **share)
    assert model.in_channels == 5
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "samples.png").is_file() == bool(share)


def test_samples_are_windows_of_the_examples_by_seed_and_index():
    own = [pair(i) for i in range(3)]
    data = samples(own)
    image, target = data[7]
    assert image.shape == (5, 8, 8)
    places = [(i, left) for i in range(3) for left in range(5)]
    assert [p for p in places if torch.equal(own[p[0]][0][:, :, p[1] : p[1] + 8], image)]
    torch.testing.assert_close(target, torch.stack([image[:2].mean(0), image[2:].mean(0)]))
    assert torch.equal(samples(own)[7][0], image)
    assert len({float(data[i][0].sum()) for i in range(64)}) == 15  # all windows of all examples
    assert not torch.equal(samples(own, seed=1)[7][0], image)


def test_what_is_held_back_is_not_trained_on():
    data = samples([pair(i, (8, 8)) for i in range(8)], validation=0.25)
    trained = {float(data[i][0].sum()) for i in range(64)}
    held = {float(example.image.sum()) for example in data.validation}
    assert len(trained) == 6
    assert len(held) == 2
    assert not trained & held
    others = samples([pair(0)], validation=[pair(1)])
    assert torch.equal(others.validation[0].image, pair(1)[0])
    assert len(others.fingerprints) == 1


def test_the_target_is_larger_by_the_scale():
    recipe = {
        **RECIPE,
        "encoder": {**RECIPE["encoder"], "scale": 2},
        "flow": [{"type": "squeeze", "factor": 4}],
    }
    image = torch.rand(5, 6, 10)
    target = image[:2].repeat_interleave(2, 1).repeat_interleave(2, 2)
    data = ExampleSet([(image, target)], build(recipe), patch=8, seed=0, length=20)
    for index in range(20):
        low, high = data[index]
        assert high.shape == (2, 8, 8)
        assert torch.equal(high[:, ::2, ::2], low[:2])


GOOD = pair(0)
WRONG = [
    ([(GOOD[0], GOOD[1][:, :4])], r"example 0: the target is \(2, 4, 12\), expected \(2, 8, 12\)"),
    ([(GOOD[0][:3], GOOD[1])], r"example 0: the image: expected \(5, H, W\), got \(3, 8, 12\)"),
    ([(GOOD[0].permute(1, 2, 0), GOOD[1])], r"channels come first, \.transpose\(2, 0, 1\)"),
    ([(255 * GOOD[0], GOOD[1])], r"values in \[0, 1\], got .*divided by 255 first"),
    ([GOOD, (GOOD[0], GOOD[1] * torch.nan)], r"example 1: the target: expected .*got values from nan"),
    ([tuple(t[:, :6] for t in GOOD)], r"smaller than train\.patch, 8"),
    (lambda index: GOOD[0], r"sample 0: expected a pair \(image, target\), got Tensor"),
    ([], "no training data was given"),
    (
        type("Stream", (IterableDataset,), {"__iter__": lambda self: iter([])})(),
        "expected a map-style dataset",
    ),
]


@pytest.mark.parametrize(("data", "message"), WRONG)
def test_wrong_data_are_one_clear_error(data, message):
    with pytest.raises(DataError, match=message):
        samples(data)


def test_all_wrong_pairs_are_listed():
    with pytest.raises(DataError) as error:
        samples([(GOOD[0], GOOD[1] + 99), GOOD, (GOOD[0] - 1, GOOD[1])])
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["example 0", "example 2"]


def test_what_cannot_be_held_back_is_an_error():
    with pytest.raises(DataError, match="cannot be held back"):
        samples(pair, validation=0.5)
    with pytest.raises(DataError, match="a share of the examples, 0 or more and below 1, got 2"):
        samples([GOOD, GOOD], validation=2)


class Stripes(Source):
    """Pages without end, of stripes."""

    name = "stripes"

    def find(self) -> Found:
        return self

    def draw(self, index: int, rng: np.random.Generator) -> Pair:
        ink = np.tile(np.arange(24) % 5 < 2, (16, 1))
        paper = np.where(ink, 30, 220).astype(np.uint8)
        return Pair(self.name, np.repeat(paper[..., None], 3, axis=2), ink)


def test_a_source_of_ones_own_is_handed_over_as_it_is(tmp_path):
    source = Stripes(Task.of(build(INK)), Path())
    assert isinstance(source, Endless)
    model = train(read_recipe(INK), [source], tmp_path / "run", quiet=True, workers=0)
    assert model.scale == 1
    other = Stripes(Task(False, target_channels=3), Path())
    with pytest.raises(DataError, match="Stripes: is for Task.*the model's is Task"):
        train(read_recipe(INK), [other], tmp_path / "other", quiet=True)
    with pytest.raises(DataError, match="expected a folder.*got int"):
        train(read_recipe(INK), [source, 3], tmp_path / "other", quiet=True)
