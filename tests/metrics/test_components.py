"""Components that break, merge, get lost, and are made up, on pages that can be counted by eye."""

from __future__ import annotations

import numpy as np
import pytest

from flowkit.errors import DataError
from flowkit.metrics.components import Components, compare, count


def page(*rows: str) -> np.ndarray:
    return np.array([list(row) for row in rows]) == "#"


TRUTH = page(
    "###....#..",
    "...#...#..",
    "....#..#..",
    "..........",
    "##.##...##",
)


def test_corners_connect():
    assert count(TRUTH) == 5
    assert compare(TRUTH, TRUTH) == Components(truth=5)


def test_all_that_can_happen_to_a_component():
    pred = page(
        "###....#..",
        "..........",
        "....#..#..",
        "#.........",
        "#####.....",
    )
    assert compare(pred, TRUTH) == Components(truth=5, broken=2, merged=2, lost=1, made_up=0)


def test_a_component_can_be_broken_and_merged():
    pred = page(
        "#.######..",
        ".......#..",
        ".......#.#",
        "..........",
        "##.##...##",
    )
    assert compare(pred, TRUTH) == Components(truth=5, broken=1, merged=2, lost=0, made_up=1)


@pytest.mark.parametrize("empty", ["pred", "truth", "both"])
def test_pages_without_ink(empty):
    nothing = np.zeros_like(TRUTH)
    pred, truth = (nothing if empty in (name, "both") else TRUTH for name in ("pred", "truth"))
    found = compare(pred, truth)
    assert (
        found
        == {
            "pred": Components(truth=5, lost=5),
            "truth": Components(made_up=5),
            "both": Components(),
        }[empty]
    )
    assert found + Components(truth=1, broken=1) == found._replace(truth=found.truth + 1, broken=1)


def test_sizes_must_agree():
    with pytest.raises(DataError, match=r"pred is \(5, 9\), but truth is \(5, 10\)"):
        compare(TRUTH[:, 1:], TRUTH)
