"""Scores on pages that were not trained on."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import ALONE
from running import steps

from flowkit import build
from flowkit.data import Page, find_pairs, load_pages
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
    return load_pages(find_pairs([drawn]))  # 120 x 90 and 40 x 150, as (height, width) of 90 x 120, 150 x 40


def test_windows_lie_side_by_side_and_are_spread(model, pages):
    every = Validation(model, pages, 32, 100)
    assert [window.page for window in every.windows] == [0] * 6 + [1] * 4
    assert every.windows[1].image.shape == (3, 32, 32)
    ink = pages[0].ink[:32, 32:64]
    assert torch.equal(every.windows[1].target[0], torch.from_numpy(ink).float())
    some = Validation(model, pages, 32, 3)
    assert [window.page for window in some.windows] == [0, 0, 1]


def test_scores_are_those_of_the_pages(model, pages):
    small = [Page("page", page.image[:32, :32], page.ink[:32, :32]) for page in pages]
    scores = Validation(model, small, 32, 10).score(model, ALONE)
    wanted = []
    for page in small:
        image = torch.from_numpy(page.image.copy()).permute(2, 0, 1)[None] / 255
        found = model(image).sample(temperature=0)[0, 0, 0].numpy() > 0.5
        wanted.append(dibco.evaluate(found, page.ink)["f_measure"])
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
    validation = Validation(sr, pages, 32, 1)
    [window] = validation.windows
    assert (window.image.shape, window.target.shape) == ((3, 16, 16), (3, 32, 32))
    found = sr(window.image[None]).sample(temperature=0)[0, 0].clamp(0, 1)
    error = float((found.detach() - window.target).square().mean())
    scores = validation.score(sr, ALONE)
    assert set(scores) == {"bits_per_dim", "psnr"}
    assert scores["psnr"] == pytest.approx(10 * np.log10(1 / error), rel=1e-5)
    assert sample_grid(sr, validation, torch.device("cpu")).shape == (32, 6 * 36 - 4, 3)


def test_pages_that_cannot_be_scored_are_refused(model, tiny):
    grey = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(DataError, match="page: has no truth to validate with"):
        Validation(model, [Page("page", grey)], 32, 1)
    with pytest.raises(DataError, match=r"page: is 64 x 1, and this flow takes 2 x 2 at least"):
        Validation(model, [Page("page", grey[:1], grey[:1, :, 0] > 0)], 32, 1)


def test_pages_that_are_trained_on_are_refused(job, drawn):
    with pytest.raises(DataError) as error:
        job(validation=[drawn])
    assert str(error.value).count("is for validation, but is trained on too") == 2
    assert str(drawn / "img" / "0.png") in str(error.value)


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
