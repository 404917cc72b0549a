from __future__ import annotations

import numpy as np
import pytest

from flowkit.evaluation.contestants import Outcome
from flowkit.evaluation.results import Entry
from flowkit.evaluation.review_quality import Reviewed
from flowkit.evaluation.uncertainty import Uncertainty, pooled
from flowkit.metrics.components import count
from flowkit.metrics.dibco import Truth


def outcome(samples: np.ndarray) -> Outcome:
    n = len(samples)
    votes = samples.sum(0)
    p = (votes + 0.1) / (n + 0.2)
    return Outcome(Entry("m", 1.0, n), 2 * votes >= n, p, samples, nats=0.25 * votes.size)


def test_samples_that_are_the_truth(truth):
    found = Uncertainty()
    found.add(outcome(np.stack([truth] * 4)), Truth(truth))
    row = found.row()
    assert row["ECE %"] == pytest.approx(100 * 0.1 / 4.2)  # what smoothing costs
    assert row["page NLL"] == pytest.approx(0.25)
    assert row["AURC"] == row["risk at 95 %"] == row["risk at 98 %"] == 0
    assert row["ink in interval %"] == row["components in interval %"] == 100
    assert row["nominal %"] == pytest.approx(60)
    assert np.isnan(row["errors in worst tiles %"])


def test_doubt_where_the_errors_are_is_found(truth):
    samples = np.stack([truth] * 6)
    samples[:4, 40:45, 30:50] = False  # most samples miss the second stroke
    found = Uncertainty()
    found.add(outcome(samples), Truth(truth))
    row = found.row()
    assert row["errors in worst tiles %"] == row["at most %"] == 100
    assert row["risk at 98 %"] == 0 < row["AURC"]  # the 1.6 % that are wrong are the least sure
    # two samples have both strokes: the truth is an end of both intervals, and inside
    assert row["ink in interval %"] == row["components in interval %"] == 100
    surest = samples.copy()
    surest[:, 40:45, 30:50] = False
    other = Uncertainty()
    other.add(outcome(surest), Truth(truth))
    assert other.row()["ink in interval %"] == 0
    assert other.row()["NLL"] > row["NLL"]


def test_the_band_is_what_is_near_a_contour(truth):
    samples = np.stack([truth] * 4)
    samples[:2, 60:65, 5:10] = True  # far from all ink
    far = Uncertainty()
    far.add(outcome(samples), Truth(truth))
    certain = (0.1 / 4.2) ** 2
    assert far.row()["band Brier"] == pytest.approx(certain)
    assert far.row()["Brier"] > certain
    near = samples.copy()
    near[:2, 60:65, 5:10] = False
    near[:2, 20, 10:80] = True
    beside = Uncertainty()
    beside.add(outcome(near), Truth(truth))
    assert beside.row()["band Brier"] > certain


def test_a_page_without_ink_has_no_band():
    blank = np.zeros((20, 20), bool)
    found = Uncertainty()
    found.add(outcome(np.stack([blank] * 2)), Truth(blank))
    assert "band NLL" not in found.row()


def test_pages_are_pooled(truth):
    rng = np.random.default_rng(0)
    parts = []
    for _ in range(3):
        part = Uncertainty()
        part.add(outcome(truth ^ (rng.random((4, *truth.shape)) < 0.1)), Truth(truth))
        parts.append(part)
    together = pooled(parts)
    assert together.everywhere.pixels == 3 * truth.size
    assert len(together.drawn) == 3
    brier = [part.row()["Brier"] for part in parts]
    assert together.row()["Brier"] == pytest.approx(np.mean(brier))
    assert together.row()["page NLL"] == pytest.approx(0.25)
    assert parts[0].everywhere.pixels == truth.size  # pooling changes none of its parts


def test_what_has_no_density_and_no_votes(truth):
    found = Uncertainty()
    head = outcome(np.stack([truth] * 4))._replace(entry=Entry("head"), nats=None)
    found.add(head, Truth(truth))
    row = found.row()
    assert row["components in interval %"] == 100
    assert not {"page NLL", "review of pages"} & row.keys()


def test_components_touch_at_corners():
    assert count(np.eye(4, dtype=bool)) == 1
    assert count(np.array([[True, False, True]])) == 2


def test_review_scores_are_held_against_the_truth(truth):
    samples = np.stack([truth] * 4)
    samples[:, 40:45, 30:50] = False  # certain, and wrong: 100 of 800 pixels of ink
    reviewed = Reviewed.of(samples[0], samples, truth)
    assert reviewed.expected.score == 0
    assert reviewed.actual.score == pytest.approx(100 / (2 * 700 + 100))


@pytest.mark.parametrize(("blamed", "expected"), [((0, 1, 2), 1.0), ((2, 1, 0), -1.0), ((0, 0, 0), np.nan)])
def test_review_scores_rank_pages_as_their_errors_do(blamed, expected):
    truth = np.zeros((90, 70), bool)
    truth[10:20] = True
    found = Uncertainty()
    for wrong, doubted in enumerate(blamed):
        samples = np.stack([truth] * 5)
        samples[:, 10 : 10 + wrong] = False  # what no sample has
        samples[:2, 30 : 30 + 3 * doubted] = True  # what some have, and the majority has not
        found.add(outcome(samples), Truth(truth))
    row = found.row()
    assert row["review of pages"] == pytest.approx(expected, nan_ok=True)
    assert row["review of tiles"] == row["review of pages"] or expected is np.nan  # each page is one tile
