from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowkit import load
from flowkit.data import find_pairs, load_pages
from flowkit.errors import DataError
from flowkit.evaluation.contestants import Folder, Method, Model
from flowkit.evaluation.results import Entry
from flowkit.metrics.calibration import smoothed
from flowkit.pages import binarize, read
from flowkit.pages.sampler import PageSampler


@pytest.fixture
def page(drawn):
    return load_pages(find_pairs([drawn]))[0]


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_a_model_draws_what_binarize_draws(checkpoint, page):
    flow = load(checkpoint())
    model = Model("tiny", flow, {0.0: [1], 1.0: [1, 2, 5]}, seed=3)
    outcomes = list(model.run(page))
    assert [o.entry for o in outcomes] == list(model.entries)
    assert [(o.entry.temperature, o.entry.samples) for o in outcomes] == [(0, 1), (1, 1), (1, 2), (1, 5)]
    for outcome in outcomes:
        t, n = outcome.entry.temperature, outcome.entry.samples
        expected = binarize(page.name, model=flow, temperature=t, samples=n, seed=3)
        assert np.array_equal(outcome.ink, expected.binary)
        if n == 1:
            assert outcome.probability is None
        else:
            votes = np.rint(expected.probability * n).astype(int)
            assert np.array_equal(outcome.probability, smoothed(votes, n))
            assert np.array_equal(outcome.samples.sum(0), votes)
            truth = torch.tensor(page.ink, dtype=torch.float32)
            image = torch.tensor(page.image).permute(2, 0, 1).float() / 255
            bits = flow(image[None]).bits_per_dim(truth[None, None])
            assert outcome.nats == pytest.approx(bits.item() * np.log(2) * page.ink.size, rel=0.02)
    assert not np.array_equal(outcomes[1].ink, outcomes[3].ink)


def test_tiles_of_a_page_share_one_draw(checkpoint, page, monkeypatch):
    model = Model("tiny", load(checkpoint()), {0.5: [1], 1.0: [3]}, seed=1)
    whole = list(model.run(page))
    monkeypatch.setattr("flowkit.pages.cutting.STREAMED_WINDOW", 4000)
    monkeypatch.setattr("flowkit.pages.cutting.MARGINS", 0)
    assert len(PageSampler(model.flow, read(page.name), seed=1).tiles) > 2
    for one, other in zip(whole, model.run(page), strict=True):
        assert (one.ink != other.ink).mean() < 1e-3  # but for rounding


def test_a_method_sees_the_pixels(page):
    [outcome] = Method("dark", lambda image: image[..., 1] < 99).run(page)
    assert outcome.entry == Entry("dark")
    assert np.array_equal(outcome.ink, page.image[..., 1] < 99)


def test_all_see_the_pixels_that_binarize_sees(checkpoint, pixels, write, linear_profile, tmp_path):
    image, truth = pixels(40, 56, 0), np.where(pixels(40, 56, 0)[..., 0] < 99, 0, 255).astype(np.uint8)
    file = write(tmp_path / "img" / "a.png", image, icc_profile=linear_profile)
    [page] = load_pages([(file, write(tmp_path / "gt" / "a.png", truth))])
    seen = []
    list(Method("keep", lambda values: seen.append(values) or values[..., 0] < 99).run(page))
    assert np.array_equal(seen[0], read(file).pixels)
    assert np.abs(seen[0].astype(int) - image).max() > 20  # the profile is applied
    flow = load(checkpoint())
    [outcome] = Model("tiny", flow, {0.0: [1]}, seed=0).run(page)
    assert np.array_equal(outcome.ink, binarize(file, model=flow).binary)


def test_a_folder_is_matched_by_stem(drawn, page, tmp_path):
    sets = {"drawn": find_pairs([drawn])}
    for i, (_, truth) in enumerate(sets["drawn"]):
        save(tmp_path / "other" / f"{i}.tif", np.asarray(Image.open(truth)))
    folder = Folder(tmp_path / "other", sets)
    [outcome] = folder.run(page)
    assert np.array_equal(outcome.ink, page.ink)
    assert folder.notes == []


def test_grey_and_inverted_images_are_told_of(drawn, page, tmp_path):
    grey = np.full(page.ink.shape, 200, np.uint8)
    grey[:3] = 127
    save(tmp_path / "grey" / "0.png", grey)
    folder = Folder(tmp_path / "grey", {"drawn": find_pairs([drawn])[:1]})
    [outcome] = folder.run(page)
    assert np.array_equal(outcome.ink, grey == 127)
    assert folder.notes == [
        f"{tmp_path}/grey: 1 of 1 images have grey pixels; those below 128 were taken for ink."
    ]
    save(tmp_path / "white" / "0.png", np.where(page.ink, 255, 0).astype(np.uint8))
    inverted = Folder(tmp_path / "white", {"drawn": find_pairs([drawn])[:1]})
    list(inverted.run(page))
    assert inverted.notes == [
        f"{tmp_path}/white: 1 of 1 images have more ink than paper; ink has to be dark."
    ]


def test_stems_that_are_in_several_sets_need_their_folder(tmp_path):
    blank = np.full((4, 5), 255, np.uint8)
    sets = {}
    for year in ("2011", "2013"):
        save(tmp_path / "in" / year / "img" / "H01.png", blank)
        sets[year] = [(tmp_path / "in" / year / "img" / "H01.png", Path("unused"))]
    save(tmp_path / "out" / "H01.png", blank)
    with pytest.raises(DataError, match=r"no file H01\.\* for .*2011") as caught:
        Folder(tmp_path / "out", sets)
    assert len(str(caught.value).splitlines()) == 2
    save(tmp_path / "tree" / "2011" / "H01.png", blank)
    save(tmp_path / "tree" / "x" / "2013" / "H01.tif", blank)
    files = Folder(tmp_path / "tree", sets).files
    assert files[str(sets["2011"][0][0])] == tmp_path / "tree" / "2011" / "H01.png"
    assert files[str(sets["2013"][0][0])] == tmp_path / "tree" / "x" / "2013" / "H01.tif"
    save(tmp_path / "tree" / "2011" / "H01.tif", blank)
    with pytest.raises(DataError, match=r"several pages or files are called H01; .*2011"):
        Folder(tmp_path / "tree", sets)


def test_images_of_another_size_are_named(drawn, page, tmp_path):
    save(tmp_path / "other" / "0.png", np.zeros((5, 4), np.uint8))
    folder = Folder(tmp_path / "other", {"drawn": find_pairs([drawn])[:1]})
    with pytest.raises(DataError, match=r"0.png: is 4 x 5, but .*0.png is 120 x 90"):
        list(folder.run(page))
