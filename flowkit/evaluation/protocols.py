"""Protocols: published divisions into training and test sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flowkit.data import find_pairs
from flowkit.data.fingerprint import fingerprint
from flowkit.data.page_files import read_rgb
from flowkit.errors import DataError

YEARS = ("2009", "2010", "2011", "2012", "2013", "2014", "2016", "2017", "2018")
"""Years of DIBCO and H-DIBCO; there was no contest in 2015."""

OTHERS = ("bickley", "phibd2012", "smadi_msi")
"""The Bickley diary, the Persian PHIBD 2012, and Synchromedia's multispectral images."""


@dataclass(frozen=True)
class Fold:
    """Training and test sets of one model: folders below the one that holds all sets."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]


def _years(years: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"dibco/{year}" for year in years)


PROTOCOLS: dict[str, tuple[Fold, ...]] = {
    "fix": (
        Fold(
            "fix",
            train=(*_years(("2009", "2010", "2012")), *OTHERS),
            test=_years(("2011", "2013", "2014", "2016", "2017", "2018")),
        ),
    ),
    "loyo": tuple(
        Fold(year, train=(*_years(y for y in YEARS if y != year), *OTHERS), test=_years((year,)))
        for year in YEARS
    ),
}
"""The protocols. `fix`: one model, scored on the years on which it was not trained. `loyo`, leave one year
out: a model for each year, trained on all others."""


def train_pages(fold: Fold, root: Path) -> frozenset[str]:
    """Return the fingerprints of a fold's training pages.

    Raises:
        DataError: a set is missing or cannot be read.
    """
    pairs = find_pairs([root / name for name in fold.train])
    return frozenset(fingerprint(read_rgb(image)) for image, _ in pairs)


def honesty(name: str, seen: frozenset[str], fold: Fold, root: Path) -> str:
    """Return a sentence on whether the training pages that a model lists belong to the protocol."""
    if not seen:
        return f"{name} does not say which pages it was trained on."
    try:
        allowed = train_pages(fold, root)
    except DataError as error:
        first = str(error).partition("\n")[0]
        return f"Whether {name} was trained on this protocol's pages was not checked ({first})."
    inside = len(seen & allowed)
    return (
        f"Of the {len(seen)} pages that {name} was trained on, {inside} are among the {len(allowed)} of the "
        f"protocol's training sets, and {len(seen) - inside} are not."
    )
