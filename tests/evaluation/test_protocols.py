from __future__ import annotations

from dataclasses import replace

import pytest

from flowkit.evaluation.protocols import OTHERS, PROTOCOLS, YEARS, Fold, honesty, train_pages


def test_fix_is_what_papers_call_it():
    [fold] = PROTOCOLS["fix"]
    assert fold.train == (
        "dibco/2009", "dibco/2010", "dibco/2012", "bickley", "phibd2012", "smadi_msi",
    )  # fmt: skip
    assert fold.test == tuple(f"dibco/{year}" for year in (2011, 2013, 2014, 2016, 2017, 2018))


def test_leave_one_year_out_trains_on_all_but_that_year():
    folds = PROTOCOLS["loyo"]
    assert [fold.name for fold in folds] == list(YEARS)
    for fold in folds:
        assert fold.test == (f"dibco/{fold.name}",)
        assert {*fold.train, *fold.test} == {*(f"dibco/{year}" for year in YEARS), *OTHERS}


@pytest.mark.parametrize("fold", [fold for folds in PROTOCOLS.values() for fold in folds], ids=str)
def test_nothing_is_trained_on_and_scored(fold):
    assert not {*fold.train} & {*fold.test}


def test_what_a_model_says_of_its_pages_is_compared_with_the_protocol(all_sets):
    fold = Fold("f", train=("dibco/2009", "bickley"), test=("dibco/2011",))
    pages = train_pages(fold, all_sets)
    assert len(pages) == 4
    assert honesty("m", pages, fold, all_sets) == (
        "Of the 4 pages that m was trained on, 4 are among the 4 of the protocol's training sets, "
        "and 0 are not."
    )
    assert honesty("m", pages | {"elsewhere"}, fold, all_sets) == (
        "Of the 5 pages that m was trained on, 4 are among the 4 of the protocol's training sets, "
        "and 1 are not."
    )
    assert honesty("m", frozenset(), fold, all_sets) == "m does not say which pages it was trained on."
    missing = replace(fold, train=("nowhere",))
    assert "was not checked (" in honesty("m", pages, missing, all_sets)
