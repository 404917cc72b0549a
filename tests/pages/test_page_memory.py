"""Peak memory: what is planned, and what a process really needs."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from flowkit import ConditionalFlow, load
from flowkit.errors import ImageError, MemoryLimitError
from flowkit.pages import binarize, read, upscale
from flowkit.pages.memory import PROCESS, SLACK, Choice, Cut, Needs, _known, choose, needs
from flowkit.pages.sampler import PageSampler
from flowkit.pages.tiles import Tile

ROOM = 1_000_000


def area(sampler: PageSampler) -> int:
    """Of the largest window, in pixels."""
    return max((t.rows.last - t.rows.first) * (t.cols.last - t.cols.first) for t in sampler.tiles)


@pytest.mark.parametrize("name", ["grey_flow", "colour_flow"])
def test_less_memory_means_smaller_tiles(name: str, request: pytest.FixtureRequest) -> None:
    model: ConditionalFlow = request.getfixturevalue(name)
    picture = read(np.zeros((1500, 1400), np.uint8))
    areas = []
    for room in (2000, 60, 40):
        sampler = PageSampler(model, picture, seed=0, memory=PROCESS + room * ROOM)
        areas.append(area(sampler))
        assert areas[-1] * needs(model, sampler.decoder, 128).window < room * ROOM
    assert areas == sorted(areas, reverse=True)
    assert areas[-1] < areas[0]


def test_a_page_is_cut_alike_on_every_run(grey_flow: ConditionalFlow) -> None:
    picture = read(np.zeros((1500, 1400), np.uint8))
    one, other = (PageSampler(grey_flow, picture, seed=0, memory=PROCESS + 40 * ROOM) for _ in range(2))
    assert one.tiles == other.tiles


def test_results_take_their_share(grey_flow: ConditionalFlow) -> None:
    picture = read(np.zeros((1500, 1400), np.uint8))
    memory = PROCESS + 60 * ROOM
    free = PageSampler(grey_flow, picture, seed=0, memory=memory)
    taken = PageSampler(grey_flow, picture, seed=0, memory=memory, results=24 * ROOM)
    assert area(taken) < area(free)


@pytest.mark.parametrize("memory", [1, PROCESS, PROCESS + ROOM])
def test_what_is_too_little_is_said(memory: int, grey_flow: ConditionalFlow) -> None:
    with pytest.raises(MemoryLimitError, match=r"1400 x 1500 pixels needs \d+ MB .* --memory or memory="):
        binarize(np.zeros((1500, 1400), np.uint8), model=grey_flow, memory=memory)


def test_a_page_is_refused_by_its_header(
    grey_flow: ConditionalFlow,
    continuous_flow: ConditionalFlow,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = tmp_path / "page.png"
    Image.new("L", (2000, 1500)).save(page)

    def decode(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("flowkit.images.reader.decode", decode)
    small = {"memory": PROCESS + ROOM}
    large = {"memory": PROCESS + 200 * ROOM, "samples": 1000}
    kept = {**large, "keep_samples": True}  # 1,000 samples are 125 bytes a pixel and more
    for function, model in ((binarize, grey_flow), (upscale, continuous_flow)):
        for options in (small, kept):
            with pytest.raises(MemoryLimitError, match="2000 x 1500 pixels needs at least"):
                function(page, model=model, **options)
        with pytest.raises(ImageError, match="it was decoded"):
            function(page, model=model, **large)


SCRIPT = """
import sys
import numpy as np
import torch
from pathlib import Path
from flowkit import build
from flowkit.pages import binarize

torch.set_num_threads(1)
encoder = {"type": "rrdb", "scale": 1, "features": 8, "growth": 4, "blocks": 1, "stack": [0]}
step = [{"type": "affine_injector", "hidden": 8}, {"type": "affine_coupling", "hidden": 8}]
recipe = {"version": 1, "target": {"type": "binary"}, "encoder": encoder, "flow": ["squeeze", *step]}
page = np.zeros((1400, 1500), np.uint8)
model = build(recipe).eval()
model.encoder.stream = lambda: None  # windows need more
binarize(page, model=model, samples=8, memory=int(sys.argv[1]))
status = Path("/proc/self/status").read_text()
print(1024 * int(status.partition("VmHWM:")[2].split()[0]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_process_keeps_to_its_memory() -> None:
    def peak(memory: int) -> int:
        command = [sys.executable, "-c", SCRIPT, str(memory)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    limit = PROCESS + 60 * ROOM
    assert peak(limit) <= limit < peak(2000 * ROOM)


def test_the_rows_that_a_stream_keeps_are_planned_for(
    grey_flow: ConditionalFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the tallest tile and two bands: `test_page_features.py` counts as many in a stream."""
    planned = []

    class Recorded(Needs):
        def of(self, cut: Cut, workers: int) -> int:
            planned.append((cut.highest, cut.band, cut.width, workers))
            return super().of(cut, workers)

    monkeypatch.setattr("flowkit.pages.sampler.needs", lambda *_: Recorded(0, 0, 1))
    picture = read(np.zeros((1500, 1400), np.uint8))
    sampler = PageSampler(grey_flow, picture, seed=0)
    assert sampler.streamed
    tallest = max(tile.rows.last - tile.rows.first for tile in sampler.tiles)
    rows = 128
    assert {(*sizes,) for *sizes, _ in planned} == {(tallest, rows, 1400)}
    one, two = (Recorded(0, 0, 1).of(Cut(0, tallest, 1400, rows, 1, 1), n) for n in (1, 2))
    assert one == SLACK * 1400 * (tallest + 2 * rows)
    assert two == SLACK * 1400 * (2 * tallest + 5 * rows)  # a row of tiles ahead, and three bands begun


def test_memory_is_planned_alike_before_and_after_a_page(grey_flow: ConditionalFlow) -> None:
    """What is folded on first use counts with the weights, not with the pixels of the first window."""
    fresh, used = copy.deepcopy(grey_flow), copy.deepcopy(grey_flow)
    binarize(np.zeros((64, 64), np.uint8), model=used)
    picture = read(np.zeros((64, 64), np.uint8))
    plans = []
    for model in (fresh, used):
        _known.pop(model, None)
        plans.append(needs(model, PageSampler(model, picture, seed=0).decoder, 16))
    assert plans[0] == plans[1]


def test_two_threads_have_room_for_an_a4_page_in_the_default_memory() -> None:
    """At 300 dpi, and at 600 dpi, which needs four times the rows."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for scale in (1, 2):
            picture = read(np.zeros((3508 * scale, 2480 * scale), np.uint8))
            assert PageSampler(load("binarize"), picture, seed=0).workers == 2
    finally:
        torch.set_num_threads(before)


def test_windows_take_over_where_memory_is_too_little_for_a_stream(colour_flow: ConditionalFlow) -> None:
    rng = np.random.default_rng(0)
    picture = read(rng.integers(0, 256, (96, 1400, 3), dtype=np.uint8))
    pages = []
    for room in (2000, 30):
        sampler = PageSampler(colour_flow, picture, seed=0, memory=PROCESS + room * ROOM)
        page = np.zeros(picture.size, np.float32)

        def work(tile: Tile, sampler: PageSampler = sampler, page: NDArray[np.float32] = page) -> None:
            [piece] = sampler.draw(tile, [0])
            page[piece.rows, piece.cols] = piece.y[0]

        sampler.share(work)
        pages.append((sampler.streamed, page))
    (streamed, whole), (also, windows) = pages
    assert streamed
    assert not also
    assert (np.abs(whole - windows) < 1e-3).mean() > 0.999
    assert whole.std() > 0.1


@pytest.mark.parametrize(
    ("memory", "roomy", "expected"),
    [
        (1000, True, Choice(0, 3, 16)),  # there is room for all
        (400, True, Choice(0, 3, 4)),
        (260, True, Choice(0, 2, 4)),  # rather two threads than more samples at a time
        (230, True, Choice(1, 2, 16)),  # halved once more, for a second thread
        (230, False, Choice(0, 1, 16)),
        (110, True, Choice(1, 1, 4)),  # halving again makes no room
        (5, True, None),
    ],
)
def test_threads_come_before_samples_at_a_time(memory: int, roomy: bool, expected: Choice | None) -> None:
    def least(halvings: int, workers: int, together: int) -> int:
        return 20 + workers * (40 + 2 * together + (64 >> halvings))

    assert choose(least, memory, 3, roomy=roomy) == expected
