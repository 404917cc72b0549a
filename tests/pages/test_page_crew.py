"""Threads that share a page: the same result, and errors that are heard of."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from flowkit import ConditionalFlow
from flowkit.images.picture import Picture
from flowkit.pages.decision import check_sampling
from flowkit.pages.ink import draw_samples
from flowkit.pages.likelihood import bits_per_dim
from flowkit.pages.results import Results
from flowkit.pages.sampler import PageSampler
from flowkit.pages.tiles import Tile


@pytest.fixture(scope="module")
def picture() -> Picture:
    return Picture(np.random.default_rng(0).integers(0, 256, (331, 165, 1), dtype=np.uint8))


def corners() -> np.ndarray:
    """Cells that make two parts of the page."""
    cells = np.zeros((11, 6), bool)
    cells[0, :2] = cells[8:, 3:] = True
    return cells


def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts of so small a page stay apart."""
    monkeypatch.setattr("flowkit.pages.islands.EACH", 0)
    monkeypatch.setattr("flowkit.pages.islands.MOST", 2)


@pytest.mark.parametrize("cells", [None, corners()], ids=["whole", "parts"])
@pytest.mark.parametrize("name", ["grey_flow", "colour_flow"])
def test_threads_change_nothing(
    name: str,
    cells: np.ndarray | None,
    picture: Picture,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flowkit.encoders.streaming.BAND", 16)
    apart(monkeypatch)
    model: ConditionalFlow = request.getfixturevalue(name)
    sampling, threads, found = check_sampling("mode", 1.0, 3, 5), torch.get_num_threads(), []
    for workers in (1, 2, 5):
        sampler = PageSampler(model, picture, seed=5, core=48, where=cells)
        sampler.workers = workers
        assert len(sampler.parts) == (1 if cells is None else 2)
        results = Results.blank(sampler.size, sampling, keep=True)
        draw_samples(sampler, sampling, results, lambda: None)
        assert results.votes is not None
        bits = bits_per_dim(sampler, results.binary, lambda: None) if cells is None else None
        found.append((results.binary.tobytes(), results.votes.tobytes(), bits))
        assert 0.02 < results.binary.mean() < 0.95
    assert found[0] == found[1] == found[2]
    assert torch.get_num_threads() == threads
    assert not model.training


def test_parts_are_what_the_page_has_there(
    colour_flow: ConditionalFlow, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(monkeypatch)
    # an encoder of tiles sees the page around a part, whatever is computed
    sampling = check_sampling("mode", 1.0, 2, 5)
    found = []
    for cells in (None, corners()):
        sampler = PageSampler(colour_flow, picture, seed=5, core=48, where=cells)
        results = Results.blank(sampler.size, sampling, keep=False)
        draw_samples(sampler, sampling, results, lambda: None)
        found.append(results)
    inside = corners().repeat(32, 0).repeat(32, 1)[:331, :165]
    assert len(sampler.parts) == 2
    for whole, some in ((r.binary, s.binary) for r, s in [found]):
        assert np.mean(whole[inside] != some[inside]) < 1e-3  # rounding: the tiles are others
        assert not some[100:200].any()
        assert whole[100:200].any()


@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_error_is_raised(workers: int, grey_flow: ConditionalFlow, picture: Picture) -> None:
    sampler = PageSampler(grey_flow, picture, seed=0, core=32)
    sampler.workers = workers
    done = []

    def work(tile: Tile) -> None:
        sampler.draw(tile, [None])
        if tile == sampler.tiles[7]:
            raise ValueError("the seventh")
        done.append(tile)

    before = threading.active_count()
    with pytest.raises(ValueError, match="the seventh"):
        sampler.share(work)
    assert len(done) < len(sampler.tiles) - 1
    assert threading.active_count() == before


def test_threads_need_memory(grey_flow: ConditionalFlow) -> None:
    picture = Picture(np.zeros((1500, 1400, 1), np.uint8))
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        cut = [
            PageSampler(grey_flow, picture, seed=0, memory=memory)
            for memory in (10**8, 5 * 10**8, 10**10)
            if memory > 4.5 * 10**8
        ]
    finally:
        torch.set_num_threads(before)
    assert cut[0].workers < cut[1].workers == 4


def test_a_page_for_one_thread_is_computed_by_one(grey_flow: ConditionalFlow, picture: Picture) -> None:
    """Several threads of one operation may add in another order, so that memory would change the result."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    found = []
    try:
        sampler = PageSampler(grey_flow, picture, seed=5, core=48)
        for sampler.workers in (1, 2):
            sampler.share(lambda _: found.append(torch.get_num_threads()))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert set(found) == {1}
