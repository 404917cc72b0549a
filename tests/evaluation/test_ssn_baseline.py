from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from flowkit import build
from flowkit.checkpoint import trained_on
from flowkit.errors import CheckpointError, FlowkitError, ShapeError
from flowkit.evaluation.ssn_baseline import (
    Odds,
    StochasticSegmentation,
    load_ssn,
    negative_log_likelihood,
    save_ssn,
    train_ssn,
)


def stains(channels: int = 3):
    """Endless pairs: grey paper, and in the truth a stain that is ink as a whole, or not, with a third."""
    generator = torch.Generator().manual_seed(0)
    while True:
        image, truth = torch.full((channels, 16, 16), 0.5), torch.zeros(1, 16, 16)
        image[:, 4:12, 4:12] = 0.25
        truth[:, 4:12, 4:12] = float(torch.rand((), generator=generator) < 1 / 3)
        yield image, truth


@pytest.fixture
def encoder(binary_recipe):
    torch.manual_seed(0)
    return build(binary_recipe).encoder


def drawn(odds: Odds, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    common = torch.randn(n, odds.factors.shape[1], generator=generator)
    own = torch.randn(n, *odds.mean.shape[2:], generator=generator)
    return odds.mean[0] + torch.einsum("kr,rhw->khw", common, odds.factors[0]) + odds.deviation[0] * own


def test_loss_of_odds_without_doubt_is_cross_entropy():
    mean, truth = torch.randn(2, 1, 4, 6), (torch.rand(2, 1, 4, 6) < 0.5).float()
    odds = Odds(mean, torch.zeros(2, 3, 4, 6), torch.zeros(2, 1, 4, 6))
    loss = negative_log_likelihood(odds, truth, 5, torch.Generator())
    expected = torch.nn.functional.binary_cross_entropy_with_logits(mean, truth)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_loss_is_the_mean_of_the_draws_probabilities():
    odds = Odds(torch.randn(1, 1, 2, 2), torch.randn(1, 3, 2, 2), torch.rand(1, 1, 2, 2))
    truth = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    loss = negative_log_likelihood(odds, truth, 4, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    common, own = (
        torch.randn(1, 4, 3, generator=generator),
        torch.randn(1, 4, 2, 2, generator=generator),
    )
    total = 0.0
    for k in range(4):
        eta = odds.mean[0, 0] + odds.deviation[0, 0] * own[0, k]
        for r in range(3):
            eta = eta + common[0, k, r] * odds.factors[0, r]
        p = torch.sigmoid(eta)
        total += torch.where(truth[0, 0] > 0, p, 1 - p).prod().item() / 4
    assert loss.item() == pytest.approx(-math.log(total) / 4, rel=1e-5)


def test_training_learns_that_a_stain_is_ink_as_a_whole(encoder):
    losses = {}
    head = train_ssn(encoder, stains(), 300, batch=8, rate=0.02, rank=2, report=losses.__setitem__)
    assert list(losses) == list(range(1, 301))
    [(image, _)] = itertools.islice(stains(), 1)
    with torch.no_grad():
        ink = drawn(StochasticSegmentation(encoder, head)(image[None]), 400) > 0
    shares = ink[:, 4:12, 4:12].float().mean((1, 2))
    whole = ((shares < 0.1) | (shares > 0.9)).float().mean().item()
    assert whole > 0.8
    assert 0.2 < shares.mean().item() < 0.5
    # log 3 - 2/3 log 2 = 0.64 nats are in each page; independent pixels have 41
    assert 256 * sum(list(losses.values())[-50:]) / 50 < 2


def test_a_frozen_encoder_stays_as_it_is(encoder):
    encoder.requires_grad_(False)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    heads = [train_ssn(encoder, stains(), 3) for _ in range(2)]
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    for one, other in zip(*(head.parameters() for head in heads), strict=True):
        assert torch.equal(one, other)


def test_images_of_other_channels(binary_recipe):
    recipe = {**binary_recipe, "encoder": {**binary_recipe["encoder"], "in_channels": 4}}
    encoder = build(recipe).encoder
    before = [p.clone() for p in encoder.parameters()]
    train_ssn(encoder, stains(4), 2)
    assert any(not torch.equal(a, b) for a, b in zip(encoder.parameters(), before, strict=True))
    assert not encoder.training


def test_what_cannot_be_trained(encoder, doubling_recipe):
    with pytest.raises(FlowkitError, match="4 steps of 2 pairs: the pairs ended in step 2"):
        train_ssn(encoder, itertools.islice(stains(), 3), 4)
    with pytest.raises(ShapeError, match="expected an encoder of scale 1, got 2"):
        train_ssn(build(doubling_recipe).encoder, stains(), 1)


def test_files_hold_all(encoder, binary_recipe, checkpoint, tmp_path):
    head = train_ssn(encoder, stains(), 2, rank=3)
    file = tmp_path / "ssn.safetensors"
    save_ssn(file, encoder, head, recipe=build(binary_recipe).recipe, pages=["b", "a"])
    assert trained_on(file) == {"a", "b"}
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        for one, other in zip(
            load_ssn(file)(image), StochasticSegmentation(encoder, head)(image), strict=True
        ):
            assert torch.equal(one, other)
    with pytest.raises(CheckpointError, match="expected a Stochastic Segmentation Network"):
        load_ssn(checkpoint())
    larger = {**binary_recipe, "encoder": {**binary_recipe["encoder"], "widths": [5, 6]}}
    save_ssn(file, encoder, head, recipe=build(larger).recipe)
    with pytest.raises(CheckpointError, match="does not fit its own recipe"):
        load_ssn(file)
