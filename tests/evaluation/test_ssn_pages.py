from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit, logsumexp
from scipy.stats import norm

from flowkit import build, load
from flowkit.checkpoint import trained_on
from flowkit.cli import main
from flowkit.data import find_pairs, load_pages
from flowkit.data.fingerprint import fingerprint
from flowkit.errors import FlowkitError
from flowkit.evaluation.contestants import Ensemble, Model
from flowkit.evaluation.ssn_baseline import LowRankHead, StochasticSegmentation, save_ssn
from flowkit.evaluation.ssn_pages import Ssn, draw_page, log_probability


@pytest.fixture
def page(drawn):
    return load_pages(find_pairs([drawn]))[0]


@pytest.fixture
def network(checkpoint) -> StochasticSegmentation:
    encoder = load(checkpoint()).encoder
    torch.manual_seed(0)
    return StochasticSegmentation(encoder, LowRankHead(encoder.provide(2).channels, rank=3)).eval()


@pytest.mark.parametrize("streamed", [True, False])
def test_bands_are_those_of_the_whole_page(network, page, monkeypatch, streamed):
    height, width = page.ink.shape
    image = page.picture.window(slice(0, height + height % 2), slice(0, width + width % 2), 3)
    with torch.no_grad():
        odds = [part[0, :, :height, :width].double().numpy() for part in network(image)]
    monkeypatch.setattr("flowkit.evaluation.ssn_pages.ROWS", 8)
    if not streamed:
        monkeypatch.setattr(network.encoder, "stream", lambda: None)
    drawn = draw_page(network, page.picture, page.ink, 3, 5)
    factors = np.random.default_rng(5).standard_normal((3, 3))
    for k in range(3):
        eta = odds[0][0] + np.tensordot(factors[k], odds[1], 1)
        expected = log_probability(*(torch.from_numpy(a) for a in (eta, odds[2][0], page.ink))).sum()
        assert drawn.log_p[k] == pytest.approx(expected.item(), rel=1e-5)
        # ink is where the log-odds and the pixel's own noise are above 0
        assert np.mean(drawn.samples[k]) == pytest.approx(norm.cdf(eta / odds[2][0]).mean(), abs=0.03)
    assert np.array_equal(draw_page(network, page.picture, page.ink, 2, 5).samples, drawn.samples[:2])
    assert not np.array_equal(draw_page(network, page.picture, page.ink, 2, 6).samples, drawn.samples[:2])


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (-3.0, 0.3), (2.0, 2.0), (-1.0, 4.0)])
def test_a_pixels_own_noise_is_integrated_out(mean, deviation):
    p = quad(lambda b: expit(mean + deviation * b) * norm.pdf(b), -12, 12)[0]
    found = log_probability(
        torch.full((2,), mean), torch.full((2,), deviation), torch.tensor([True, False])
    ).exp()
    assert found.tolist() == pytest.approx([p, 1 - p], rel=0.02)


def test_entries_are_of_all_numbers_of_samples(network, page):
    few, many = Ssn("net", network, [2, 4], 5).run(page)
    drawn = draw_page(network, page.picture, page.ink, 4, 5)
    assert [str(few.entry), str(many.entry)] == ["net, 2 samples", "net, 4 samples"]
    assert np.array_equal(many.samples, drawn.samples)
    assert np.array_equal(many.ink, drawn.samples.sum(0) >= 2)
    assert few.nats == pytest.approx(math.log(2) - logsumexp(drawn.log_p[:2]))
    assert few.probability.shape == page.ink.shape


def test_an_ensemble_draws_from_each_in_turn(checkpoint, page):
    flows = [load(checkpoint(name=f"{seed}.safetensors", seed=seed)) for seed in (0, 1)]
    ensemble = Ensemble(flows, {0.0: [1], 1.0: [1, 2, 5]}, seed=3)
    few, many = ensemble.run(page)
    assert [str(few.entry), str(many.entry)] == [
        "ensemble of 2, T 1, 2 samples",
        "ensemble of 2, T 1, 5 samples",
    ]
    models = [Model("", flow, {1.0: [3]}, seed=3 + i) for i, flow in enumerate(flows)]
    for sample in range(5):
        own = models[sample % 2].draw(page, 1.0, 3)
        assert np.array_equal(many.samples[sample], own[sample // 2])
    assert np.array_equal(few.samples, many.samples[:2])
    nats = [model.nats(page) for model in models]
    assert many.nats == pytest.approx(math.log(2) - logsumexp([-n for n in nats]))
    with pytest.raises(FlowkitError, match="expected two or more checkpoints, got 1"):
        Ensemble(flows[:1], {1.0: [4]}, seed=0)
    with pytest.raises(FlowkitError, match="expected --samples of 2 or more, got 1"):
        Ensemble(flows, {0.0: [1]}, seed=0)


def test_both_stand_beside_a_model(checkpoint, binary_recipe, images, drawn, network, tmp_path, capsys):
    others = [str(checkpoint(name=f"{seed}.safetensors", seed=seed)) for seed in (1, 2)]
    file, out = tmp_path / "ssn.safetensors", tmp_path / "out"

    def save(pages):
        marks = [fingerprint(page) for page in pages]
        save_ssn(file, network.encoder, network.head, recipe=build(binary_recipe).recipe, pages=marks)

    save([])
    command = ["evaluate", str(checkpoint()), "--data", str(drawn), "--quiet", "--ssn", str(file)]
    command += ["--ensemble", *others, "--samples"]
    assert main([*command, "2", "--out", str(out)]) == 0
    samples = (out / "results.md").read_text().partition("## Samples of whole pages")[2]
    for name in (f"{file}, 2 samples", "ensemble of 2, T 1, 2 samples"):
        assert name in samples
    capsys.readouterr()
    assert main([*command, "1"]) == 2
    assert "--ssn: expected --samples of 2 or more, got 1" in capsys.readouterr().err
    save(images)
    assert len(trained_on(file)) == 2
    assert main([*command, "2"]) == 2
    assert f"0.png: {file} was trained on this page" in capsys.readouterr().err
