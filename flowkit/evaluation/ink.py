"""Binarizations against the truth: every contestant on every page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowkit.data import Page, load_pages
from flowkit.data.fingerprint import fingerprint
from flowkit.errors import DataError
from flowkit.evaluation.contestants import Contestant, Sets
from flowkit.evaluation.plots import draw_calibration
from flowkit.evaluation.report import NAME, STEM, WORST, Findings, Part
from flowkit.evaluation.results import Entry, Row
from flowkit.evaluation.tiles import PICTURE, SIDE, WorstTiles
from flowkit.evaluation.uncertainty import BAND, REVIEWED, Uncertainty, pooled
from flowkit.metrics import dibco
from flowkit.training.pictures import write_picture

ABOUT = (
    "P(ink) of N samples is (votes + 1) / (N + 2), which by itself costs every certain pixel 1 / (N + 2) of "
    "ECE; share ECE is that of votes / N.",
    f"Band: pixels within {BAND:g} of a contour of the truth.",
    f"Errors in worst tiles: the share of all wrong pixels that lies in the {100 * REVIEWED:g} % of the "
    f"{SIDE} x {SIDE} tiles with the most doubt; at most: in those with the most errors.",
    "In interval: pages whose amount of ink, and number of connected components, lies between the least and "
    "the greatest of the samples; nominal: how often the truth would, were it one more sample.",
)
HEADLESS = "No cross-entropy head on the same encoder stands beside these figures: none was given (--head)."


def check(sets: Sets, trained_on: Mapping[str, frozenset[str]]) -> None:
    """Decode all pages before the first is scored.

    Args:
        sets: of (image, truth) files.
        trained_on: a model's name -> fingerprints of pages that it has seen.

    Raises:
        DataError: unreadable files, unequal sizes, pages that a model was trained on; all are listed.
    """
    problems = []
    for pairs in sets.values():
        for pair in pairs:
            try:
                [page] = load_pages([pair])
            except DataError as error:
                problems.append(str(error))
                continue
            mark = fingerprint(page.image)
            problems += [
                f"{page.name}: {name} was trained on this page; --allow-train scores it all the same"
                for name, seen in trained_on.items()
                if mark in seen
            ]
    if problems:
        raise DataError("\n".join(problems))


@dataclass
class InkEvaluation:
    """Scores, calibration and the worst tiles, as pages are added."""

    rows: list[Row] = field(default_factory=list)
    uncertainty: dict[tuple[str, Entry], Uncertainty] = field(default_factory=dict)
    worst: WorstTiles = field(default_factory=WorstTiles)

    def add(self, set_name: str, name: str, page: Page, contestants: Iterable[Contestant]) -> list[Row]:
        """Let every contestant do a page; the first one's first entry is looked at tile by tile."""
        assert page.ink is not None
        truth = dibco.Truth(page.ink)
        rows: list[Row] = []
        for contestant in contestants:
            for outcome in contestant.run(page):
                scores = dibco.evaluate(outcome.ink, truth)
                if not rows:
                    self.worst.add(f"{set_name}/{name}", page.image, outcome.ink, page.ink)
                if outcome.probability is not None:
                    key = set_name, outcome.entry
                    self.uncertainty.setdefault(key, Uncertainty()).add(outcome, truth)
                rows.append(Row(set_name, name, outcome.entry, scores))
        self.rows += rows
        return rows

    def findings(self, title: str, notes: Sequence[str], head: bool) -> Findings:
        """All of it, for the report.

        Args:
            title: of the report.
            notes: on the evaluation as a whole.
            head: whether a cross-entropy head took part.
        """
        first = self.rows[0].entry
        tiles = (
            f"{NAME}/{STEM}-{WORST} has the {PICTURE} x {PICTURE} tiles of {first} with most wrong pixels, "
            f"{self.worst.of_a_page} of a page at most: blue is ink that was missed, vermilion is paper that "
            "was taken for ink."
        )
        pictures = {WORST: self._draw_tiles}
        if not self.uncertainty:
            return Findings(title, self.rows, notes=[*notes, tiles], pictures=pictures)
        together = self._together()
        rows = [{"set": name, "by": str(e), **u.row()} for (name, e), u in self.uncertainty.items()]
        if len({name for name, _ in self.uncertainty}) > 1:
            rows += [{"set": "all", "by": str(e), **u.row()} for e, u in together.items()]
        about = list(ABOUT) if head else [*ABOUT, HEADLESS]
        pictures["calibration.png"] = lambda path: draw_calibration(
            path, {str(entry): found for entry, found in together.items()}
        )
        part = Part("Calibration and uncertainty", rows, about)
        return Findings(title, self.rows, [part], [*notes, tiles], pictures)

    def _together(self) -> dict[Entry, Uncertainty]:
        entries = dict.fromkeys(entry for _, entry in self.uncertainty)
        return {e: pooled(u for (_, other), u in self.uncertainty.items() if other == e) for e in entries}

    def _draw_tiles(self, path: Path) -> None:
        write_picture(path, self.worst.sheet())
