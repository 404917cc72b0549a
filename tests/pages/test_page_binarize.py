from __future__ import annotations

import copy
import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiled import draw

from flowkit.errors import CheckpointError, ImageError
from flowkit.flow import ConditionalFlow
from flowkit.pages import Page, read
from flowkit.pages import binarize as binarize_at
from flowkit.pages.decision import check_sampling
from flowkit.pages.sampler import PageSampler

# pages of noise have no strokes to find a scale by
binarize = functools.partial(binarize_at, scale=1)


def scan(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def tiled(
    image: NDArray[np.uint8], model: ConditionalFlow, core: int, *, seed: int = 0, **settings: float
) -> Page:
    """`binarize` in tiles of at most `core` x `core` pixels."""
    return draw(PageSampler(model, read(image), seed=seed, core=core), check_sampling(seed=seed, **settings))


SETTINGS = [{}, {"samples": 2, "seed": 3}]


@pytest.mark.parametrize("settings", SETTINGS, ids=["centre", "samples"])
@pytest.mark.parametrize("name", ["grey_flow", "colour_flow", "doubling_flow"])
def test_tiles_give_the_whole_page(
    name: str, settings: dict[str, float], request: pytest.FixtureRequest
) -> None:
    # in float64, so that no pixel can flip by rounding
    model: ConditionalFlow = copy.deepcopy(request.getfixturevalue(name)).double()
    page = scan(165, 205)
    whole = tiled(page, model, 4096, **settings)
    cut = tiled(page, model, 48, **settings)
    assert whole.binary.shape == (165 * model.scale, 205 * model.scale)
    assert 0.05 < whole.binary.mean() < 0.95
    assert np.array_equal(whole.binary, cut.binary)
    if whole.probability is not None:
        assert np.array_equal(whole.probability, cut.probability)


def test_tiles_need_their_margin(grey_flow: ConditionalFlow) -> None:
    # what shows that the test above can tell
    blind = copy.deepcopy(grey_flow)
    blind.path_reach = blind.encoder.reach = 0
    page = scan(165, 205)
    assert not np.array_equal(tiled(page, blind, 48).binary, tiled(page, blind, 4096).binary)


def test_the_page_is_what_the_flow_decodes(grey_flow: ConditionalFlow) -> None:
    page = scan(24, 32, 1)
    p = grey_flow(torch.from_numpy(page).permute(2, 0, 1)[None] / 255)
    with torch.no_grad():
        central = p.sample(1, temperature=0.0)[0, 0, 0]
    assert np.array_equal(binarize(page, model=grey_flow).binary, central.numpy() == 1)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (37, 53), (2, 3)])
def test_any_size(size: tuple[int, int], colour_flow: ConditionalFlow) -> None:
    page = binarize(scan(*size), model=colour_flow, samples=2)
    assert page.binary.shape == size
    assert page.probability is not None
    assert page.probability.shape == size


def test_a_seed_is_a_page_and_another_seed_another(grey_flow: ConditionalFlow) -> None:
    page = scan(40, 40)
    first, again, other = (binarize(page, model=grey_flow, temperature=1.0, seed=s).binary for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_centre_does_not_depend_on_the_seed(grey_flow: ConditionalFlow) -> None:
    page = scan(40, 40)
    assert np.array_equal(
        binarize(page, model=grey_flow, seed=1).binary, binarize(page, model=grey_flow, seed=2).binary
    )


def test_probability_is_the_share_of_samples(grey_flow: ConditionalFlow) -> None:
    page = scan(40, 40)
    result = binarize(page, model=grey_flow, samples=4)
    assert result.probability is not None
    assert result.probability.dtype == np.float32
    assert set(np.unique(result.probability)) == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert np.array_equal(result.binary, result.probability >= 0.5)
    # the first of several samples is the only one of one
    assert binarize(page, model=grey_flow, temperature=1.0).probability is None
    two = binarize(page, model=grey_flow, samples=2)
    first = binarize(page, model=grey_flow, temperature=1.0).binary
    assert two.probability is not None
    assert np.array_equal(first[two.probability == 1], np.ones(int((two.probability == 1).sum()), bool))
    assert not first[two.probability == 0].any()


def test_the_mode_is_the_centre_with_a_probability_beside_it(grey_flow: ConditionalFlow) -> None:
    page = scan(40, 40)
    both = binarize(page, model=grey_flow, decision="mode", samples=3, seed=2)
    assert np.array_equal(both.binary, binarize(page, model=grey_flow).binary)
    votes = binarize(page, model=grey_flow, samples=3, seed=2)
    assert np.array_equal(both.probability, votes.probability)
    assert not np.array_equal(both.binary, votes.binary)


@pytest.mark.parametrize(("threshold", "least"), [(0.7, 7), (0.1, 1), (0.05, 1), (1.0, 10), (0.71, 8)])
def test_a_threshold_is_a_number_of_votes(threshold: float, least: int, grey_flow: ConditionalFlow) -> None:
    page = binarize(scan(30, 30), model=grey_flow, decision=threshold, samples=10)
    assert np.array_equal(page.binary, page.votes >= least)
    assert {0, *range(1, 10), 10} <= set(np.unique(page.votes))


def test_kept_samples_are_the_votes(grey_flow: ConditionalFlow) -> None:
    page = binarize(scan(30, 31), model=grey_flow, samples=11, keep_samples=True)
    assert page.samples.shape == (11, 30, 31)
    assert np.array_equal(page.samples.sum(0), page.votes)
    single = binarize(scan(30, 31), model=grey_flow, temperature=1.0, keep_samples=True)
    assert np.array_equal(single.samples[0], page.sample(0))
    assert np.array_equal(single.binary, page.sample(0))
    with pytest.raises(IndexError, match="11 samples, got index 11"):
        page.sample(11)
    with pytest.raises(ValueError, match="not kept"):
        binarize(scan(8, 8), model=grey_flow, samples=2).sample(0)


def test_many_samples_are_counted_beyond_a_byte(grey_flow: ConditionalFlow) -> None:
    page = binarize(np.zeros((4, 4), np.uint8), model=grey_flow, samples=300, temperature=1e-6)
    assert set(np.unique(page.votes)) <= {0, 300}
    assert page.probability.max() == 1


def test_kinds_of_image_agree(tmp_path: Path, colour_flow: ConditionalFlow) -> None:
    pixels = scan(20, 30)
    Image.fromarray(pixels).save(tmp_path / "page.png")
    floats = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    expected = binarize(pixels, model=colour_flow).binary
    for image in (
        tmp_path / "page.png",
        str(tmp_path / "page.png"),
        Image.fromarray(pixels),
        floats,
        floats.numpy(),
    ):
        if isinstance(image, np.ndarray):
            image = image.transpose(1, 2, 0)
        assert np.array_equal(binarize(image, model=colour_flow).binary, expected)


def test_progress_counts_every_step(grey_flow: ConditionalFlow) -> None:
    seen: list[tuple[int, int]] = []
    binarize(scan(40, 72), model=grey_flow, samples=3, progress=lambda *step: seen.append(step))
    assert seen == [(i, 3) for i in range(4)]
    seen.clear()
    page = scan(40, 72)
    binarize_at(page, model=grey_flow, scale=2, likelihood=True, progress=lambda *step: seen.append(step))
    assert seen == [(i, 6) for i in range(7)]  # two views are decided, four scored


def test_a_model_in_training_is_used_as_trained_and_left_as_it_was(grey_flow: ConditionalFlow) -> None:
    model = copy.deepcopy(grey_flow).train()
    model.encoder.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    page = scan(40, 40)
    assert np.array_equal(binarize(page, model=model).binary, binarize(page, model=grey_flow).binary)
    assert model.training
    assert not model.encoder.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 0}, "samples must be 1 to 65535, got 0"),
        ({"samples": 65536}, "samples must be 1 to 65535, got 65536"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"temperature": -0.5}, "temperature must be a number of 0 or more, got -0.5"),
        ({"temperature": float("nan")}, "temperature must be a number of 0 or more, got nan"),
        ({"temperature": 0.0, "samples": 2}, "2 samples at temperature 0 are all the same"),
        ({"decision": "mean"}, "expected samples of 2 or more, got 1"),
        ({"decision": 0.3}, "expected samples of 2 or more, got 1"),
        (
            {"decision": "mode", "temperature": 0.7},
            "the mode is the image at temperature 0, got temperature 0.7",
        ),
        ({"decision": 0.0, "samples": 2}, "a probability above 0 and up to 1, got 0.0"),
        ({"decision": 1.5, "samples": 2}, "a probability above 0 and up to 1, got 1.5"),
        ({"decision": "median", "samples": 2}, "decision must be mode, mean, or a probability .* got median"),
    ],
)
def test_wrong_settings(settings: dict[str, float], message: str, grey_flow: ConditionalFlow) -> None:
    with pytest.raises(ValueError, match=message):
        binarize(scan(8, 8), model=grey_flow, **settings)


def test_the_target_must_be_binary(continuous_flow: ConditionalFlow) -> None:
    with pytest.raises(CheckpointError, match=r"the model: its target is continuous .* expected binary"):
        binarize(scan(8, 8), model=continuous_flow)


def test_a_missing_probability_is_not_written(tmp_path: Path, grey_flow: ConditionalFlow) -> None:
    with pytest.raises(ValueError, match="one only"):
        binarize(scan(8, 8), model=grey_flow).save_probability(tmp_path / "map.png")
    with pytest.raises(ValueError, match="one only"):
        binarize(scan(8, 8), model=grey_flow).save_uncertainty(tmp_path / "map.png")
    assert not list(tmp_path.iterdir())


def test_a_bad_image_is_told_before_the_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        binarize(tmp_path / "none.png", model="no-such-model")
