"""Samples with verdicts of models that have not seen the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowkit import build
from flowkit.data import Task, training_set
from flowkit.errors import ShapeError
from flowkit.recipe import read_recipe
from flowkit.training.cross_fit import CrossFit
from flowkit.training.stacking import without_first

VERDICT = {
    "version": 1,
    "target": {"type": "binary"},
    "encoder": {"type": "unet", "widths": [4, 5], "gain": 0.5},
    "flow": ["squeeze", {"type": "affine_injector", "hidden": 6, "kernel": 1}],
}


def fold(folder: Path, seed: int, perturb):
    rng = np.random.default_rng(seed)
    for kind, page in (("img", rng.integers(0, 256, (70, 90))), ("gt", 255 * rng.integers(0, 2, (70, 90)))):
        (folder / kind).mkdir(parents=True)
        Image.fromarray(page.astype(np.uint8)).save(folder / kind / "1.png")
    patches = training_set([str(folder)], task=Task(binary=True, multiple=4), patch=32, seed=seed, length=50)
    return perturb(build(VERDICT), amount=0.3), patches


def test_folds_take_turns(tmp_path, perturb):
    folds = [fold(tmp_path / str(seed), seed, perturb) for seed in range(2)]
    data = CrossFit(folds)
    assert len(data.fingerprints) == 2
    for index, (number, which) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        model, patches = folds[which]
        image, truth = patches[number]
        seen, target = data(index)
        assert torch.equal(seen[:3], image)
        assert torch.equal(target, truth)
        with torch.no_grad():  # in eval mode, where the page loses contrast as in use
            odds = 18 * model.eval()(image[None]).rsample(temperature=0)[0, 0]
        torch.testing.assert_close(seen[3:], torch.sigmoid(odds / 3))
        assert seen[3].std() > 0.01


def test_nothing_to_learn_from():
    with pytest.raises(ShapeError, match="a fold or more, got none"):
        CrossFit([])


def test_the_second_part_alone():
    whole = read_recipe("readings")
    second = without_first(whole)
    assert build(second).in_channels == 4
    assert (second.layers, second.train) == (whole.layers, whole.train)
    with pytest.raises(ShapeError, match="binarize: expected a recipe whose encoder is stacked"):
        without_first(read_recipe("binarize"))
