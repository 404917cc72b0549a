"""Scores on pages that were not trained on."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import ALONE
from running import steps

from flowkit import build
from flowkit.data import Pair, Task, training_set
from flowkit.errors import DataError
from flowkit.metrics import dibco
from flowkit.training.pictures import sample_grid
from flowkit.training.processes import Processes
from flowkit.training.validation import Validation


@pytest.fixture
def model(tiny, perturb):
    torch.manual_seed(0)
    return perturb(build(tiny)).eval()


@pytest.fixture
def pages(drawn):
    data = training_set([drawn], task=Task(binary=True), patch=32, seed=0, length=1)
    return [
        data.pages.read(number) for number in range(2)
    ]  # 120 x 90 and 40 x 150, as (height, width) of 90 x 120, 150 x 40


def test_windows_lie_side_by_side_and_are_spread(model, pages):
    every = Validation(model, pages, 32, 100)
    assert [window.page for window in every.windows] == [0] * 6 + [1] * 4
    assert every.windows[1].image.shape == (3, 32, 32)
    ink = pages[0].target[:32, 32:64]
    assert torch.equal(every.windows[1].target[0], torch.from_numpy(ink.copy()).float())
    some = Validation(model, pages, 32, 3)
    assert [window.page for window in some.windows] == [0, 0, 1]


def test_scores_are_those_of_the_pages(model, pages):
    small = [Pair("page", page.image[:32, :32], page.target[:32, :32]) for page in pages]
    scores = Validation(model, small, 32, 10).score(model, ALONE)
    wanted = []
    for page in small:
        image = torch.from_numpy(page.image.copy()).permute(2, 0, 1)[None] / 255
        found = model(image).sample(temperature=0)[0, 0, 0].numpy() > 0.5
        wanted.append(dibco.evaluate(found, page.target)["f_measure"])
    assert scores["f_measure"] == pytest.approx(np.mean(wanted))
    assert scores == Validation(model, small, 32, 10).score(model, ALONE)  # the same noise every time


def test_processes_share_the_windows(model, pages, monkeypatch):
    validation = Validation(model, pages, 32, 5)
    parts = []
    monkeypatch.setattr(Processes, "sums", lambda self, values: parts.append(values) or list(values))
    whole = validation.score(model, ALONE)
    for rank in range(2):
        validation.score(model, Processes(rank, 2, torch.device("cpu")))
    np.testing.assert_allclose(np.add(parts[1], parts[2]), parts[0])
    assert whole["bits_per_dim"] == pytest.approx(np.mean(parts[0][:5]))


def test_super_resolution_is_scored_in_decibels(tiny, pages):
    sr = build(
        {
            **tiny,
            "target": {"type": "continuous", "noise": "none"},
            "encoder": {"type": "rrdb", "scale": 2, "features": 4, "growth": 2, "blocks": 1, "stack": [0]},
        }
    ).eval()
    whole = [Pair(page.name, None, page.image) for page in pages]
    validation = Validation(sr, whole, 32, 1)
    [window] = validation.windows
    assert (window.image.shape, window.target.shape) == ((3, 16, 16), (3, 32, 32))
    found = sr(window.image[None]).sample(temperature=0)[0, 0].clamp(0, 1)
    error = float((found.detach() - window.target).square().mean())
    scores = validation.score(sr, ALONE)
    assert set(scores) == {"bits_per_dim", "psnr"}
    assert scores["psnr"] == pytest.approx(10 * np.log10(1 / error), rel=1e-5)
    assert sample_grid(sr, validation, torch.device("cpu")).shape == (32, 6 * 36 - 4, 3)


def test_a_page_too_small_for_the_flow_is_refused(model):
    grey = np.zeros((1, 64, 3), np.uint8)
    with pytest.raises(DataError, match=r"page: is 64 x 1, and this flow takes 2 x 2 at least"):
        Validation(model, [Pair("page", grey, grey[:, :, 0] > 0)], 32, 1)


def test_pages_that_are_trained_on_are_refused(job, drawn):
    with pytest.raises(DataError, match=r"is for validation, but .*1.png, the same page, is trained on"):
        job(validation=[drawn])


def test_a_share_of_the_pages_is_held_back(job):
    held = job(validation=0.5)
    assert (len(held.data.fingerprints), len(held.data.validation)) == (1, 1)
    assert {window.page for window in held.validation.windows} == {0}


def test_a_run_scores_its_averaged_weights(run, model, pages):
    scored = run({"train.validate_every": 3, "train.save_every": 100})
    scored.job.validation = Validation(model, pages, 32, 3)
    scored.go()
    lines = [json.loads(line) for line in (scored.out / "metrics.jsonl").read_text().splitlines()]
    found = [line for line in lines if "validation_bits_per_dim" in line]
    assert [line["step"] for line in found] == [3, 6]
    again = scored.job.validation.score(scored.average.model, ALONE)
    assert found[-1]["validation_bits_per_dim"] == again["bits_per_dim"]
    assert scored.progress.best == min(line["validation_bits_per_dim"] for line in found)
    assert (scored.out / "samples.png").is_file()


def test_scoring_leaves_training_alone(run, model, pages):
    plain, scored = run(out="plain"), run()
    scored.job.validation = Validation(model, pages, 32, 3)
    first = steps(scored, 2)
    scored.job.validation.score(scored.average.model, ALONE)
    assert first + steps(scored, 2) == steps(plain, 4)
