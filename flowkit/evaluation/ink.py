"""Binarizations against the truth: every contestant on every page."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from flowkit.data import load_pages
from flowkit.data.fingerprint import fingerprint
from flowkit.errors import DataError, FlowkitError
from flowkit.evaluation import sample_scores
from flowkit.evaluation.contestants import Sets
from flowkit.evaluation.plan import Round, Wanted, rounds
from flowkit.evaluation.plots import draw_calibration
from flowkit.evaluation.report import Findings, Part, Picture
from flowkit.evaluation.results import Entry, Row
from flowkit.evaluation.task import Job, page_names
from flowkit.evaluation.tiles import PICTURE, SIDE, WorstTiles
from flowkit.evaluation.uncertainty import BAND, REVIEWED, Uncertainty, pooled
from flowkit.images.writer import write_picture
from flowkit.metrics import components, dibco
from flowkit.metrics.calibration import PRIOR, WINDOW
from flowkit.metrics.components import Components
from flowkit.pages.review import TILE
from flowkit.tables import Cell

ABOUT = (
    "Page NLL: -log p(truth | page) in nats per pixel, of all pixels together: of a flow an upper bound, by "
    "dequantisation; of a head the sum over pixels, which it takes to be independent; of an --ssn an "
    "estimate by the factors of its samples, an upper bound on average.",
    f"P(ink) of N samples is (votes + m + {PRIOR:g}) / (N + {1 + 2 * PRIOR:g}), m the mean share of votes "
    f"in a window of {WINDOW} x {WINDOW}; all figures but the first are of it.",
    f"Band: pixels within {BAND:g} of a contour of the truth.",
    f"Errors in worst tiles: the share of all wrong pixels that lies in the {100 * REVIEWED:g} % of the "
    f"{SIDE} x {SIDE} tiles with the most doubt; at most: in those with the most errors.",
    "In interval: pages whose amount of ink, and number of connected components, lies between the least and "
    "the greatest of the samples; nominal: how often the truth would, were it one more sample. Of a head "
    "as many samples are drawn, each pixel by itself.",
    "Review of pages, of tiles: Spearman's rank correlation of the review score of pages, and of their "
    f"{TILE} x {TILE} tiles, with what it is to foretell, 1 - the F-measure.",
)
CONNECTED = (
    "Pieces of ink, touching at corners being one, in percent of the truth's: broken, in two or more pieces; "
    "merged, in a piece with another; lost, without a pixel; made up, pieces without ink of the truth.",
)
HEADLESS = "No cross-entropy head on the same encoder stands beside these figures: none was given (--head)."


class InkEvaluation:
    """Scores, calibration and the worst tiles of all rounds.

    Args:
        wanted: the options.
        allow_train: whether models may be scored on pages that they were trained on.

    Raises:
        FlowkitError: something that was named cannot be found or used; for pages, all problems are listed.
    """

    scores = dibco.SCORES

    def __init__(self, wanted: Wanted, allow_train: bool = False) -> None:
        if wanted.focus is not None:
            raise FlowkitError("--focus is for super-resolution, and this evaluation scores ink")
        self.wanted = wanted
        self.rounds = rounds(wanted)
        for one in self.rounds:
            check(one.sets, {} if allow_train else one.trained_on)
        entries = (entry for one in self.rounds for c in one.contestants for entry in c.entries)
        self.entries: Sequence[Entry] = tuple(dict.fromkeys(entries))
        self.rows: list[Row] = []
        self.uncertainty: dict[tuple[str, Entry], Uncertainty] = {}
        self.components: dict[tuple[str, Entry], Components] = {}
        self.worst = WorstTiles()
        self.read: list[str] = []

    def jobs(self) -> list[Job]:
        """Return the pages of all sets, at all scales; see `Evaluation`."""
        jobs = []
        for one in self.rounds:
            for (set_name, pairs), scale in itertools.product(one.sets.items(), self.wanted.scales):
                names = page_names(image for image, _ in pairs)
                label = set_name if scale == 1 else f"{set_name} x{scale:g}"
                for pair in pairs:
                    score = partial(self._score, one, label, names[pair[0]], pair, scale)
                    jobs.append(Job(label, names[pair[0]], score))
        return jobs

    def _score(
        self, one: Round, set_name: str, name: str, pair: tuple[Path, Path], scale: float
    ) -> list[Row]:
        """Score all contestants; collect the errors of the first entry by tiles."""
        [page] = load_pages([pair])
        page = page.at(scale)
        assert page.ink is not None
        self.read += [f"{set_name}/{name}: {note}." for note in page.picture.notes]
        truth = dibco.Truth(page.ink)
        rows: list[Row] = []
        for contestant in one.contestants:
            for outcome in contestant.run(page):
                if not rows:
                    self.worst.add(f"{set_name}/{name}", page.image, outcome.ink, page.ink)
                key = set_name, outcome.entry
                met = components.compare(outcome.ink, truth.ink)
                self.components[key] = self.components.get(key, Components()) + met
                if outcome.probability is not None:
                    self.uncertainty.setdefault(key, Uncertainty()).add(outcome, truth)
                rows.append(Row(set_name, name, outcome.entry, dibco.evaluate(outcome.ink, truth)))
        self.rows += rows
        return rows

    def findings(self) -> Findings:
        """See `Evaluation`."""
        notes = [note for one in self.rounds for note in one.notes]
        notes += [note for one in self.rounds for contestant in one.contestants for note in contestant.notes]
        notes += self.read
        tiles = (
            f"the {PICTURE} x {PICTURE} tiles of {self.entries[0]} with most wrong pixels, "
            f"{self.worst.of_a_page} of a page at most; blue is ink that was missed, vermilion is paper that "
            "was taken for ink."
        )
        found = Findings(
            f"Evaluation of {self.wanted.model}",
            self.rows,
            self.entries[0],
            notes=list(dict.fromkeys(notes)),
        )
        found.pictures["worst-tiles.png"] = Picture(
            lambda path: write_picture(path, self.worst.sheet()), tiles, shown=False
        )
        found.parts.append(Part("Connected components", self._connected(), CONNECTED))
        if self.uncertainty:
            self._add_uncertainty(found)
        return found

    def _connected(self) -> list[dict[str, Cell]]:
        rows: list[dict[str, Cell]] = []
        for (set_name, entry), sums in self.components.items():
            row: dict[str, Cell] = {"set": set_name, "by": str(entry), "components": sums.truth}
            for name, value in sums._asdict().items():
                if name != "truth":
                    row[f"{name.replace('_', ' ')} %"] = 100 * value / max(1, sums.truth)
            rows.append(row)
        return rows

    def _add_uncertainty(self, found: Findings) -> None:
        entries = dict.fromkeys(entry for _, entry in self.uncertainty)
        together = {
            str(e): pooled(part for (_, other), part in self.uncertainty.items() if other == e)
            for e in entries
        }
        rows = [{"set": name, "by": str(e), **part.row()} for (name, e), part in self.uncertainty.items()]
        if len({name for name, _ in self.uncertainty}) > 1:
            rows += [{"set": "all", "by": by, **part.row()} for by, part in together.items()]
        about = ABOUT if self.wanted.head is not None else (*ABOUT, HEADLESS)
        found.parts.append(Part("Calibration and uncertainty", rows, about))
        self._add_samples(found, together)
        found.pictures["calibration.png"] = Picture(
            lambda path: draw_calibration(path, together), "Reliability, and risk over coverage"
        )

    def _add_samples(self, found: Findings, together: Mapping[str, Uncertainty]) -> None:
        by_set = [(name, str(e), part.drawn) for (name, e), part in self.uncertainty.items() if part.drawn]
        every = [("all", by, part.drawn) for by, part in together.items() if part.drawn]
        if not every:
            return
        several = len({name for name, _, _ in by_set}) > 1
        rows: list[dict[str, Cell]] = [
            {"set": name, "by": by, **sample_scores.row(pages)}
            for name, by, pages in (*by_set, *(every if several else ()))
        ]
        found.parts.append(Part("Samples of whole pages", rows, sample_scores.ABOUT))
        pieces: list[dict[str, Cell]] = [
            {"by": by, **row} for _, by, pages in every for row in sample_scores.component_rows(pages)
        ]
        found.parts.append(Part("Reliability of components", pieces, sample_scores.ABOUT_COMPONENTS))


def check(sets: Sets, trained_on: Mapping[str, frozenset[str]]) -> None:
    """Decode all pages before the first is scored.

    Args:
        sets: of (image, truth) files.
        trained_on: a model's name -> fingerprints of its training pages.

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
            problems += refusals(page.name, fingerprint(page.image), trained_on)
    if problems:
        raise DataError("\n".join(problems))


def refusals(page: str, mark: str, trained_on: Mapping[str, frozenset[str]]) -> list[str]:
    """Return a line for every model that was trained on the page with this fingerprint."""
    return [
        f"{page}: {name} was trained on this page; --allow-train scores it all the same"
        for name, seen in trained_on.items()
        if mark in seen
    ]
