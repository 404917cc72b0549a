from __future__ import annotations

import numpy as np

from flowkit.evaluation.tiles import INVENTED, MISSED, PICTURE, WorstTiles, colour, tile_sums


def test_sums_of_tiles_add_up():
    values = np.random.default_rng(0).random((70, 131))
    sums = tile_sums(values, 64)
    assert len(sums) == 2 * 3
    assert np.isclose(sums[1], values[:64, 64:128].sum())
    assert np.isclose(sums[5], values[64:, 128:].sum())


def test_errors_have_their_colours():
    ink, truth = np.array([[True, True, False, False]]), np.array([[True, False, True, False]])
    assert colour(ink, truth)[0].tolist() == [[0, 0, 0], [*INVENTED], [*MISSED], [255, 255, 255]]


def test_the_worst_tiles_are_kept_a_few_of_each_page():
    worst = WorstTiles(most=3, of_a_page=2)
    truth = np.zeros((2 * PICTURE, 2 * PICTURE), bool)
    image = np.zeros((*truth.shape, 3), np.uint8)
    for name, counts in (("a", (50, 40, 30)), ("b", (20, 0, 0)), ("c", (45, 1, 0))):
        ink = truth.copy()
        for tile, count in enumerate(counts):
            y, x = divmod(tile, 2)
            ink[y * PICTURE, x * PICTURE : x * PICTURE + count] = True
        worst.add(name, image, ink, truth)
    kept = sorted(worst.kept, reverse=True)
    assert [tile.errors for tile in kept] == [50, 45, 40]  # not the 30 of page a
    assert kept[1].label == "c  (0, 0)  45"
    sheet = worst.sheet(columns=2)
    assert (sheet == INVENTED).all(-1).sum() == 50 + 45 + 40


def test_a_page_without_errors_has_no_tiles():
    worst = WorstTiles()
    blank = np.zeros((30, 30), bool)
    worst.add("a", np.zeros((30, 30, 3), np.uint8), blank, blank)
    assert worst.kept == []
    assert worst.sheet().ndim == 3
