from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from flowkit import build
from flowkit.data import Task, training_set
from flowkit.data.tasks import Pair, reduce
from flowkit.data.windows import crop
from flowkit.degradations import degradations_from
from flowkit.errors import DataError

INK = Task(binary=True)
X4 = Task(binary=False, scale=4, image_channels=3, target_channels=3)


def binary(folder, **options):
    return training_set([folder], **{"task": INK, "patch": 48, "seed": 3, "length": 32, **options})


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(a, b)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_make_no_difference(paired, workers):
    data = binary(paired, cache=60_000)  # some pages are decoded again
    assert 0 < len(data.pages.cache) < 5
    here, there = (list(DataLoader(data, batch_size=5, num_workers=n)) for n in (0, workers))
    assert same(here, there)


@pytest.mark.slow
def test_spawned_workers_share_the_cache(paired):
    data = binary(paired)
    spawned = DataLoader(data, batch_size=4, num_workers=1, multiprocessing_context="spawn")
    first = next(iter(spawned))
    assert same([first], [next(iter(DataLoader(data, batch_size=4)))])


def test_a_sample_depends_on_seed_and_index_alone(paired):
    data, again, other = binary(paired), binary(paired), binary(paired, seed=4)
    backwards = [again[i] for i in reversed(range(8))]
    assert same([data[i] for i in range(8)], backwards[::-1])
    assert not same([data[0]], [other[0]])
    assert not same([data[0]], [data[1]])


def test_ranks_share_what_one_process_would_see(paired):
    data = binary(paired)
    alone = [data[i] for i in range(12)]
    ranks = [[Subset(binary(paired), range(rank, 12, 2))[i] for i in range(6)] for rank in (0, 1)]
    assert same(alone, [ranks[i % 2][i // 2] for i in range(12)])


def test_a_resumed_run_sees_the_rest(paired):
    whole = list(DataLoader(binary(paired), batch_size=4))
    longer = binary(paired, length=64)
    rest = list(DataLoader(Subset(longer, range(12, 32)), batch_size=4))
    assert same(whole[3:], rest)
    assert len(longer) == 64
    with pytest.raises(IndexError):
        longer[64]


def test_image_and_ink_stay_together_through_every_turn(paired):
    data = binary(paired)
    for i in range(32):
        image, ink = data[i]
        assert image.shape == (3, 48, 48)
        assert ink.shape == (1, 48, 48)
        assert image.dtype == ink.dtype == torch.float32
        assert set(ink.unique().tolist()) <= {0.0, 1.0}
        assert 0 <= image.min() <= image.max() <= 1
        grey, truth = image.mean(0), ink[0] > 0.5
        assert grey[truth].mean() < grey[~truth].mean() - 0.1


def test_patches_with_ink_are_preferred(tmp_path, write):
    image = np.full((400, 400, 3), 200, np.uint8)
    image[:80, :80] = 30
    write(tmp_path / "img" / "a.png", image)
    write(tmp_path / "gt" / "a.png", np.where(image[..., 0] < 128, 0, 255).astype(np.uint8))
    ink = binary(tmp_path, patch=32, length=200)
    share = np.mean([float(ink[i][1].max()) for i in range(200)])
    assert 0.08 < share < 0.3  # by area alone it would be 0.05
    high = training_set([tmp_path / "img"], task=X4, patch=32, seed=0, length=200)
    share = np.mean([float(high[i][1].min() < 0.5) for i in range(200)])
    assert 0.08 < share < 0.3


def test_small_pages_go_on_mirrored(tmp_path, pixels, write):
    page = pixels(20, 28, 0)
    write(tmp_path / "a.png", page)
    data = training_set([tmp_path], task=X4, patch=64, seed=0, length=1)
    low, high = data[0]
    assert low.shape == (3, 16, 16)
    corner = torch.from_numpy(page).permute(2, 0, 1) / 255
    turned = [high.rot90(k, (1, 2)) for k in range(4)]
    assert any(
        torch.allclose(t[:, :20, :28], corner)
        for h in turned
        for t in (h, h.flip(1), h.flip(2), h.flip(1, 2))
    )


def test_low_resolution_is_cut_from_the_reduced_page(pixels):
    page, rng = pixels(97, 130, 0), np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        low, high = crop(Pair("a", None, page), None, 48, 4, rng)
        # where it is from: no two places of the page are alike
        [(top, left)] = np.argwhere((page == high[0, 0]).all(2) & (np.roll(page, -1, 1) == high[0, 1]).all(2))
        assert np.array_equal(page[top : top + 48, left : left + 48], high)
        # the page, cut so that its grid of low-resolution pixels is the patch's
        from_there = np.ascontiguousarray(page[top % 4 :, left % 4 :])
        trimmed = from_there[: len(from_there) // 4 * 4, : from_there.shape[1] // 4 * 4]
        whole = reduce(np.ascontiguousarray(trimmed), 4)[top // 4 :, left // 4 :]
        assert np.array_equal(whole[:12, :12], low)
        seen.add((top % 4, left % 4))
    assert len(seen) > 10


def test_low_resolution_by_several_kernels(pixels):
    page, rng = pixels(96, 128, 0), np.random.default_rng(0)
    kernels = ("box", "lanczos", "bilinear")
    seen = set()
    for _ in range(30):
        low, high = crop(Pair("a", None, page, kernels), None, 48, 4, rng)
        [(top, left)] = np.argwhere((page == high[0, 0]).all(2) & (np.roll(page, -1, 1) == high[0, 1]).all(2))
        from_there = np.ascontiguousarray(page[top % 4 :, left % 4 :])
        trimmed = np.ascontiguousarray(from_there[: len(from_there) // 4 * 4, : from_there.shape[1] // 4 * 4])
        place = np.s_[top // 4 : top // 4 + 12, left // 4 : left // 4 + 12]
        [kernel] = [k for k in kernels if np.array_equal(reduce(trimmed, 4, k)[place], low)]
        seen.add(kernel)
    assert seen == set(kernels)
    assert np.array_equal(Pair("a", None, page, kernels).whole(4).image, reduce(page, 4, "box"))


@pytest.mark.parametrize("zoom", [(1.0, 1.0), (0.5, 2.0)])
def test_ink_at_high_resolution_of_an_image_at_low(tmp_path, write, zoom):
    ink = np.zeros((101, 138), bool)  # no multiples of 4
    ink[20:80, 30:60] = ink[50:60, 30:120] = True
    write(tmp_path / "img" / "a.png", np.repeat(np.where(ink, 0, 255).astype(np.uint8)[..., None], 3, 2))
    write(tmp_path / "gt" / "a.png", np.where(ink, 0, 255).astype(np.uint8))
    options = {"task": Task(True, scale=4, multiple=2), "patch": 32, "seed": 1, "length": 12}
    for low, high in training_set([tmp_path], **options, degrade=lambda v, rng, **k: v, zoom=zoom):
        assert (low.shape, high.shape) == ((3, 8, 8), (1, 32, 32))
        cover = 1 - high.reshape(8, 4, 8, 4).mean((1, 3))
        assert (low[0] - cover).abs().mean() < 0.1  # one is bicubic, the other the mean of squares
    pair = Pair("a", np.zeros((9, 14, 3), np.uint8), np.zeros((9, 14), bool)).whole(4)
    assert (pair.image.shape, pair.target.shape) == ((2, 3, 3), (8, 12))


def test_degradations_see_the_ink_that_the_image_shows(paired):
    seen = []

    def look(values, rng, *, ink, other, paper):
        seen.append((values.shape[:2], ink.shape, other().shape[:2], paper().shape[:2]))
        return values

    training_set([paired], task=Task(True, scale=2), patch=16, seed=0, length=1, degrade=look)[0]
    assert seen == [((8, 8), (8, 8), (8, 8), (8, 8))]


def test_the_paper_of_another_page_has_no_ink_left(tmp_path, write):
    ink = np.zeros((64, 64), bool)
    ink[20:24, 8:56] = ink[40:56, 30:33] = True
    write(tmp_path / "img" / "a.png", np.where(ink[..., None], 40, np.full(3, 200)).astype(np.uint8))
    write(tmp_path / "gt" / "a.png", np.where(ink, 0, 255).astype(np.uint8))
    sheets = []

    def look(values, rng, *, ink, other, paper):
        sheets.append((other().min(), paper()))
        return values

    source = {"type": "paired", "path": str(tmp_path)}
    training_set([source], task=Task(True, scale=1), patch=48, seed=0, length=1, degrade=look)[0]
    ((written, sheet),) = sheets
    assert written == np.float32(40) / 255
    np.testing.assert_allclose(sheet, 200 / 255, atol=1e-3)


def test_weights_are_shares_of_the_samples(tmp_path, write):
    for name, level in (("dark", 40), ("light", 200)):
        write(tmp_path / name / "a.png", np.full((64, 64, 3), level, np.uint8))
    sources = [
        {"type": "super_resolution", "path": str(tmp_path / "dark"), "weight": 3},
        {"type": "super_resolution", "path": str(tmp_path / "light")},
    ]
    data = training_set(sources, task=X4, patch=16, seed=0, length=400)
    dark = sum(float(data[i][1].mean()) < 0.5 for i in range(400))
    assert 270 < dark < 330  # 300 +- 3.5 standard deviations
    assert data.summary()[0].startswith(f"super_resolution {tmp_path / 'dark'}: 75% of the samples; 1 pages")


def test_pages_are_drawn_by_the_root_of_their_area(tmp_path, write):
    write(tmp_path / "small.png", np.full((32, 32, 3), 40, np.uint8))
    write(tmp_path / "large.png", np.full((96, 96, 3), 200, np.uint8))
    data = training_set([tmp_path], task=X4, patch=16, seed=0, length=400)
    small = sum(float(data[i][1].mean()) < 0.5 for i in range(400))
    assert 70 < small < 130  # a quarter, where areas would give a tenth


def halve(image, rng, **_):
    assert image.dtype == np.float32
    assert image.shape[2] == 3
    return image / 2


@pytest.mark.parametrize("task", [INK, X4], ids=["ink", "x4"])
def test_what_is_done_to_images_leaves_targets_alone(paired, task):
    folder = paired if task.binary else paired / "img"
    make = functools.partial(training_set, [folder], task=task, patch=32, seed=0, length=8)
    plain = make(degrade=lambda image, rng, **_: image)
    done = make(degrade=halve)
    for i in range(8):
        torch.testing.assert_close(done[i][0], plain[i][0] / 2)
        assert torch.equal(done[i][1], plain[i][1])


def test_one_channel_is_luma(tmp_path, write):
    write(tmp_path / "a.png", np.tile(np.array([255, 0, 0], np.uint8), (32, 32, 1)))
    grey = Task(binary=False, scale=2, image_channels=1, target_channels=1)
    low, high = training_set([tmp_path], task=grey, patch=16, seed=0, length=1)[0]
    assert (low.shape, high.shape) == ((1, 8, 8), (1, 16, 16))
    torch.testing.assert_close(high, torch.full_like(high, 0.299))


def test_a_model_says_what_it_wants():
    assert Task.of(build("binarize")) == Task(True, 1, build("binarize").multiple)
    shallow = ["encoder.blocks=1", "encoder.stack=[0]"]
    assert Task.of(build("paper-super-resolve-x4", overrides=shallow)).scale == 4


def test_patches_and_channels_that_do_not_fit(paired):
    with pytest.raises(DataError, match="train.patch must be a multiple of 2 for this flow, got 33"):
        binary(paired, task=Task(True, multiple=2), patch=33)
    with pytest.raises(DataError, match="encoder.in_channels is 2"):
        Task(True, image_channels=2)
    with pytest.raises(DataError, match="target.channels is 4"):
        Task(False, target_channels=4)
    with pytest.raises(DataError, match="with 1 channel, got 3"):
        Task(True, target_channels=3)


def test_the_validation_pages_are_whole(paired):
    data = binary(paired, validation=0.4)
    assert len(data.validation) == 2
    for page in data.validation:
        assert page.image.shape == (*page.target.shape, 3)
        assert page.target.dtype == np.bool_
        assert page.name.endswith(".png")
    high = training_set([paired / "img"], task=X4, patch=32, seed=0, length=1, validation=0.2)
    [page] = high.validation
    assert page.target.shape[:2] == tuple(4 * n for n in page.image.shape[:2])
    assert np.array_equal(page.image, reduce(page.target, 4))


def test_zoomed_pieces_are_enlarged_with_their_ink(paired):
    plain = binary(paired, degrade=degradations_from([]))
    twice = binary(paired, degrade=degradations_from([]), zoom=(2.0, 2.0))
    assert all(twice[i][0].shape == (3, 48, 48) and twice[i][1].shape == (1, 48, 48) for i in range(16))
    image, ink = (torch.stack(parts) for parts in zip(*(twice[i] for i in range(32)), strict=True))
    assert set(ink.unique().tolist()) == {0.0, 1.0}
    # the ink is dark in its piece still, and edges are half as many
    inside, outside = (image.mean(1)[(ink[:, 0] == value)].mean() for value in (1, 0))
    assert inside < outside - 0.2
    edges = [
        torch.stack([data[i][1] for i in range(32)]).diff(dim=-1).abs().sum().item()
        / torch.stack([data[i][1] for i in range(32)]).sum().item()
        for data in (plain, twice)
    ]
    assert 0.35 < edges[1] / edges[0] < 0.65


def test_a_range_of_zooms_is_a_function_of_the_seed(paired):
    data, again = (binary(paired, zoom=(0.5, 2.0)) for _ in range(2))
    assert same([data[i] for i in range(6)], [again[i] for i in reversed(range(6))][::-1])


def test_zoom_is_for_ink(paired):
    with pytest.raises(DataError, match=r"train\.zoom is for binary targets, got \[0\.5, 2\.0\]"):
        training_set([paired / "img"], task=X4, patch=48, seed=0, length=8, zoom=[0.5, 2.0])
