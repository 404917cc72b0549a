"""The plan of an evaluation: contestants and pages, found and loaded before the first page is scored."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flowkit.checkpoint import load, trained_on
from flowkit.data import find_pairs
from flowkit.data.find import Paths
from flowkit.data.fingerprint import fingerprint
from flowkit.data.page_files import read_rgb
from flowkit.errors import FlowkitError
from flowkit.evaluation.baselines import baseline, is_baseline, origin
from flowkit.evaluation.contestants import Contestant, Ensemble, Folder, Method, Model, Sets
from flowkit.evaluation.cross_entropy_baseline import Head
from flowkit.evaluation.low_resolution import PLAIN
from flowkit.evaluation.protocols import PROTOCOLS, Fold, honesty
from flowkit.evaluation.ssn_baseline import load_ssn
from flowkit.evaluation.ssn_pages import Ssn
from flowkit.flow import ConditionalFlow
from flowkit.pages.ink import load_binary
from flowkit.recipe import read_recipe_text
from flowkit.targets import Binary

DATA = "FLOWKIT_DATA"
"""The environment variable that names the folder with all sets."""

YEAR = "{year}"
"""Placeholder, in a checkpoint's name, of the year that it was not trained on."""

Find = Callable[[Paths], list[tuple[Path, Path]]]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The options of `flowkit evaluate`.

    Args:
        model: a shipped model, a checkpoint, a baseline, or a folder of images.
        data: folders of pages, or the folder with all sets of a protocol.
        protocol: a name in `PROTOCOLS`.
        baselines: names, or folders of images.
        temperatures: by default 0, and 1 if there are several samples.
        samples: by default 1.
        seed: of the samples.
        scales: resolutions at which pages are scored, as multiples of their own.
        low: kinds of low resolution that a super-resolution model enlarges.
        head: checkpoint of a classifier.
        head_data: folders with the pages on which its temperature is fitted.
        ssn: a Stochastic Segmentation Network, see `flowkit.evaluation.ssn_baseline.save_ssn`.
        ensemble: checkpoints, scored as one model.
        focus: "ink" to score the pixels near ink separately, for super-resolution models.
        ink_model: the model that finds the ink.
    """

    model: str
    data: Sequence[str] | None = None
    protocol: str | None = None
    baselines: Sequence[str] = ()
    temperatures: Sequence[float] | None = None
    samples: Sequence[int] | None = None
    seed: int = 0
    scales: Sequence[float] = (1.0,)
    low: Sequence[str] = (PLAIN,)
    head: str | None = None
    head_data: Sequence[str] | None = None
    ssn: str | None = None
    ensemble: Sequence[str] = ()
    focus: Literal["ink"] | None = None
    ink_model: str = "binarize"

    @property
    def counts(self) -> dict[float, list[int]]:
        """Return the numbers of samples for every temperature, rising; at temperature 0 always one.

        Raises:
            FlowkitError: several samples, and temperature 0 alone.
        """
        samples = sorted({*(self.samples or (1,))})
        temperatures = self.temperatures or ((0.0, 1.0) if samples[-1] > 1 else (0.0,))
        if samples[-1] > 1 and not any(temperatures):
            raise FlowkitError(
                f"{samples[-1]} samples at temperature 0 are all the same; expected another temperature, too"
            )
        return {t: samples if t else [1] for t in sorted({*temperatures})}

    def root(self) -> Path:
        """Return the folder with all sets.

        Raises:
            FlowkitError: there is none, or there are several.
        """
        if self.data is None and os.environ.get(DATA):
            return Path(os.environ[DATA])
        if self.data is None or len(self.data) != 1:
            raise FlowkitError(
                f"--protocol {self.protocol} needs one folder with all sets below it: --data, or {DATA}"
            )
        return Path(self.data[0])


@dataclass
class Round:
    """Pages and the contestants that are scored on them.

    Attributes:
        sets: of (image, truth) files.
        contestants: the model first.
        trained_on: fingerprints of each model's training pages.
        notes: for the report.
    """

    sets: Sets
    contestants: list[Contestant]
    trained_on: dict[str, frozenset[str]]
    notes: list[str]


def enlarges(wanted: Wanted) -> bool:
    """Return true if the model super-resolves: a checkpoint whose target is not binary."""
    if YEAR in wanted.model or Path(wanted.model).is_dir() or is_baseline(wanted.model):
        return False
    return not isinstance(load(wanted.model).target, Binary)


def rounds(wanted: Wanted, find: Find = find_pairs) -> list[Round]:
    """Return one round, or one for each fold of a protocol.

    Args:
        wanted: the options.
        find: folders -> (image, truth) files.

    Raises:
        FlowkitError: something that was named cannot be found or used.
    """
    if wanted.protocol is None:
        if wanted.data is None:
            raise FlowkitError("--data is missing; only with --protocol there is a default")
        sets = {str(Path(folder)): find([folder]) for folder in wanted.data}
        return [_round(wanted, wanted.model, sets)]
    root, folds = wanted.root(), PROTOCOLS[wanted.protocol]
    learnt = not Path(wanted.model).is_dir() and not is_baseline(wanted.model)
    if learnt and len(folds) > 1 and YEAR not in wanted.model:
        raise FlowkitError(
            f"--protocol {wanted.protocol} scores a model for each year: "
            f"expected {YEAR} in the checkpoint's name, got {wanted.model}"
        )
    found = []
    for fold in folds:
        sets = {name: find([root / name]) for name in fold.test}
        found.append(_round(wanted, wanted.model.replace(YEAR, fold.name), sets, fold, root))
    return found


def _round(
    wanted: Wanted, model: str, sets: Sets, fold: Fold | None = None, root: Path | None = None
) -> Round:
    made = Round(sets, [], {}, [])
    for name in dict.fromkeys((model, *wanted.baselines)):
        if Path(name).is_dir():
            made.contestants.append(Folder(Path(name), sets))
        elif name != model or is_baseline(name):
            made.contestants.append(Method(name, baseline(name), origin(name)))
        else:
            # all folds have one name, under which the report lists their years
            made.contestants.append(Model(wanted.model, load_binary(model), wanted.counts, wanted.seed))
            made.trained_on[model] = trained_on(model)
            if fold is not None and root is not None:
                made.notes.append(honesty(model, made.trained_on[model], fold, root))
    year = fold.name if fold else ""
    if wanted.ssn is not None:
        _add_ssn(made, wanted, wanted.ssn.replace(YEAR, year))
    if wanted.ensemble:
        files = [file.replace(YEAR, year) for file in wanted.ensemble]
        made.contestants.append(Ensemble([load_binary(f) for f in files], wanted.counts, wanted.seed))
        made.trained_on |= {file: trained_on(file) for file in files}
    if not made.trained_on and (wanted.temperatures or wanted.samples):
        raise FlowkitError(f"{model} is not a model: --temperatures and --samples do not apply")
    if wanted.head is not None:
        head = wanted.head.replace(YEAR, year)
        folders = wanted.head_data
        if folders is None:
            if fold is None or root is None:
                raise FlowkitError("--head needs --head-data: pages on which its temperature is fitted")
            folders = [str(root / name) for name in fold.train]
        _add_head(made, wanted, head, folders)
    return made


def _add_ssn(made: Round, wanted: Wanted, file: str) -> None:
    samples = sorted({n for numbers in wanted.counts.values() for n in numbers if n > 1})
    if not samples:
        raise FlowkitError("--ssn: expected --samples of 2 or more, got 1")
    assert wanted.ssn is not None
    made.contestants.append(Ssn(wanted.ssn, load_ssn(file), samples, wanted.seed))
    made.trained_on[file] = trained_on(file)


def _add_head(made: Round, wanted: Wanted, file: str, folders: Sequence[str]) -> None:
    seen = trained_on(file)
    if not seen:
        raise FlowkitError(
            f"{file}: does not say which pages it was trained on, so none are known to be held back"
        )
    marks = {pair: fingerprint(read_rgb(pair[0])) for pair in find_pairs(folders)}
    last = trained_on(file, last=True)
    held_back = [pair for pair, mark in marks.items() if mark not in last]
    if not held_back:
        raise FlowkitError(
            f"{file}: was trained on all pages of {', '.join(folders)}; train it with --validation 0.1"
        )
    flow = load_binary(file)
    for contestant in made.contestants:
        if isinstance(contestant, Model) and _encoder(contestant.flow) != _encoder(flow):
            raise FlowkitError(
                f"{file}: its encoder is {_encoder(flow)}, expected that of the model, "
                f"{_encoder(contestant.flow)}: the same features make the comparison"
            )
    assert wanted.head is not None
    most = max((numbers[-1] for numbers in wanted.counts.values()), default=1)
    head = Head(wanted.head, flow, held_back, samples=most, seed=wanted.seed)
    earlier = sum(marks[pair] in seen for pair in held_back)
    if earlier:
        made.notes.append(f"{wanted.head}: {earlier} of the pages held back were seen by earlier trainings.")
    made.contestants.append(head)
    made.trained_on[file] = seen | {marks[pair] for pair in held_back}


def _encoder(flow: ConditionalFlow) -> Any:
    """Return the encoder of the recipe."""
    assert flow.recipe is not None  # of a checkpoint
    return read_recipe_text(flow.recipe).resolved["encoder"]
