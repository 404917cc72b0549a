"""Contestants of an evaluation: flows, classical methods, and images made elsewhere."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from flowkit.data import Page
from flowkit.data.find import image_files, report
from flowkit.data.page_files import grey_of, read_page, size_of
from flowkit.data.tasks import reduce
from flowkit.errors import DataError, FlowkitError
from flowkit.evaluation.baselines import Binarizer
from flowkit.evaluation.results import Entry
from flowkit.evaluation.sampling import negative_log_density
from flowkit.flow import ConditionalFlow
from flowkit.images.picture import Picture
from flowkit.metrics.calibration import smoothed
from flowkit.pages import binarize

Ink = NDArray[np.bool_]
Sets = Mapping[str, Sequence[tuple[Path, Path]]]
"""Name of a set -> its (image, truth) files."""

Counts = Mapping[float, Sequence[int]]
"""Temperature -> numbers of samples."""


class Outcome(NamedTuple):
    """One entry's result for a page.

    Attributes:
        entry: the entry that it belongs to.
        ink: (H, W).
        probability: P(ink) of every pixel, if there is one.
        samples: (N, H, W), each of the whole page.
        nats: -log p(the page's truth | page), if there is a density of whole pages.
    """

    entry: Entry
    ink: Ink
    probability: NDArray[np.floating] | None = None
    samples: Ink | None = None
    nats: float | None = None


class Contestant(Protocol):
    """A method that turns pages into ink; a model has several settings."""

    @property
    def entries(self) -> Sequence[Entry]: ...  # noqa: D102

    @property
    def notes(self) -> Sequence[str]:
        """Return notes for a reader of the scores, once all pages are done."""
        ...

    def run(self, page: Page) -> Iterator[Outcome]:
        """Return one outcome for each entry, in their order."""
        ...


def settings(name: str, counts: Counts) -> tuple[Entry, ...]:
    """Return the entries of a model: its samples at every temperature."""
    return tuple(Entry(name, t, n) for t, numbers in counts.items() for n in numbers)


class Method:
    """A function of the image; `notes` name its origin."""

    def __init__(self, name: str, binarizer: Binarizer, notes: Sequence[str] = ()) -> None:
        self.notes = notes
        self.entries = (Entry(name),)
        self.binarizer = binarizer

    def run(self, page: Page) -> Iterator[Outcome]:
        """Return one outcome for each entry; see `Contestant`."""
        yield Outcome(self.entries[0], self.binarizer(page.image))


class Model:
    """A flow with a binary target, at all temperatures with all numbers of samples.

    Samples are those of `flowkit.pages.binarize` with the same seed. Fewer samples are the first of more, so
    that 1, 4 and 16 samples together cost no more than 16. A flow with a scale gets the page reduced by it,
    as in training.

    Args:
        name: in the tables.
        flow: the model.
        counts: numbers of samples, rising, for every temperature.
        seed: of the latents.
    """

    notes = ()

    def __init__(self, name: str, flow: ConditionalFlow, counts: Counts, seed: int) -> None:
        self.flow = flow
        self.seed = seed
        self.most = {t: numbers[-1] for t, numbers in counts.items()}
        self.entries = settings(name, counts)

    def run(self, page: Page) -> Iterator[Outcome]:
        """Return one outcome for each entry; needs a byte for every pixel of every sample."""
        drawn = {t: self.draw(page, t, n) for t, n in self.most.items()}
        nats = self.nats(page) if _scores_density(self.entries) else None
        yield from outcomes(self.entries, drawn, nats)

    def draw(self, page: Page, temperature: float, count: int) -> NDArray[np.bool_]:
        """Return this number of samples of a page, (N, H, W)."""
        found = binarize(
            self._picture(page),
            model=self.flow,
            temperature=temperature or None,
            samples=count,
            seed=self.seed,
            keep_samples=count > 1,
        )
        height, width = page.image.shape[:2]
        samples = found.binary[None] if found.samples is None else found.samples
        return samples[:, :height, :width]

    def nats(self, page: Page) -> float:
        """Return -log p(the page's truth | page)."""
        assert page.ink is not None
        return negative_log_density(self.flow, self._picture(page), page.ink, self.seed)

    def _picture(self, page: Page) -> Picture:
        scale = self.flow.scale
        if scale == 1:
            return page.picture
        missing = [(0, -n % scale) for n in page.image.shape[:2]]
        return Picture(reduce(np.pad(page.image, [*missing, (0, 0)], mode="edge"), scale))


class Ensemble:
    """Several flows as one model, whose samples are drawn from each in turn (Lakshminarayanan et al., 2017).

    p(y | page) is the mean of the flows' densities.

    Args:
        flows: two or more.
        counts: numbers of samples, rising, for every temperature; 1 is left out.
        seed: of the first flow's latents; each further flow has the next number.

    Raises:
        FlowkitError: a single flow, or only single samples.
    """

    notes = ()

    def __init__(self, flows: Sequence[ConditionalFlow], counts: Counts, seed: int) -> None:
        if len(flows) < 2:
            raise FlowkitError(f"--ensemble: expected two or more checkpoints, got {len(flows)}")
        self.entries = tuple(
            entry for entry in settings(f"ensemble of {len(flows)}", counts) if entry.samples != 1
        )
        if not self.entries:
            raise FlowkitError("--ensemble: expected --samples of 2 or more, got 1")
        self.most = {t: numbers[-1] for t, numbers in counts.items() if numbers[-1] > 1}
        self.members = [Model("", flow, counts, seed + i) for i, flow in enumerate(flows)]

    def run(self, page: Page) -> Iterator[Outcome]:
        """Return one outcome for each entry; see `Model.run`."""
        drawn = {t: self._draw(page, t, n) for t, n in self.most.items()}
        nats = None
        if _scores_density(self.entries):
            each = np.array([member.nats(page) for member in self.members])
            nats = math.log(len(each)) - float(logsumexp(-each))
        yield from outcomes(self.entries, drawn, nats)

    def _draw(self, page: Page, temperature: float, count: int) -> Ink:
        m = len(self.members)
        samples = np.empty((count, *page.image.shape[:2]), np.bool_)
        for i, member in enumerate(self.members[:count]):
            samples[i::m] = member.draw(page, temperature, len(samples[i::m]))
        return samples


def outcomes(entries: Iterable[Entry], drawn: Mapping[float, Ink], nats: float | None) -> Iterator[Outcome]:
    """Yield the vote of each entry's samples; `nats` are those of temperature 1."""
    for entry in entries:
        assert entry.temperature is not None and entry.samples is not None
        n = entry.samples
        samples = drawn[entry.temperature][:n]
        votes = samples.sum(0, dtype=np.int32)
        if n == 1:
            yield Outcome(entry, samples[0])
        else:
            density = nats if entry.temperature == 1 else None
            yield Outcome(entry, 2 * votes >= n, smoothed(votes, n), samples, density)


def _scores_density(entries: Iterable[Entry]) -> bool:
    return any(entry.temperature == 1 and entry.samples != 1 for entry in entries)


class Folder:
    """Images of the pages that were made elsewhere, with dark ink, found by their names.

    Args:
        folder: searched at any depth.
        sets: all pages that will be scored. A page's file has the same stem. If several pages or files share
            a stem (every year has its H01), the file lies in folders with the names of the page's folders
            (2011/H01.png for dibco/2011/img/H01.webp).

    Raises:
        DataError: pages without a file, or with several; all are listed.
    """

    def __init__(self, folder: Path, sets: Sets) -> None:
        self.entries = (Entry(str(folder)),)
        self.folder = folder
        self.files = _matched(folder, sets)
        self.grey = 0
        self.dark = 0

    @property
    def notes(self) -> Sequence[str]:
        """Return notes on grey images, and on images that may be inverted."""
        of = f"of {len(self.files)} images"
        grey = f"{self.folder}: {self.grey} {of} have grey pixels; those below 128 were taken for ink."
        dark = f"{self.folder}: {self.dark} {of} have more ink than paper; ink has to be dark."
        return [note for count, note in ((self.grey, grey), (self.dark, dark)) if count]

    def run(self, page: Page) -> Iterator[Outcome]:
        """See `Contestant`.

        Raises:
            DataError: the image has another size, or cannot be read.
        """
        file = self.files[page.name]
        grey = grey_of(read_page(file))
        if grey.shape != page.image.shape[:2]:
            raise DataError(f"{file}: is {size_of(grey)}, but {page.name} is {size_of(page.image)}")
        ink = grey < 128
        self.grey += bool(((grey != 0) & (grey != 255)).any())
        self.dark += bool(2 * ink.sum() > ink.size)
        yield Outcome(self.entries[0], ink)


def _matched(folder: Path, sets: Sets) -> dict[str, Path]:
    by_stem: dict[str, list[Path]] = {}
    for file in image_files(folder):
        by_stem.setdefault(file.stem, []).append(file)
    pages = [image for pairs in sets.values() for image, _ in pairs]
    shared = Counter(image.stem for image in pages)
    found: dict[str, Path] = {}
    problems = []
    for image in pages:
        files = by_stem.get(image.stem, [])
        if len(files) > 1 or shared[image.stem] > 1:
            files = _most_alike(image, folder, files)
        if len(files) == 1 and files[0] not in found.values():
            found[str(image)] = files[0]
        elif files:
            problems.append(
                f"{folder}: several pages or files are called {image.stem}; {image} has none alone"
            )
        else:
            problems.append(f"{folder}: no file {image.stem}.* for {image}")
    report(problems)
    return found


def _most_alike(image: Path, folder: Path, files: list[Path]) -> list[Path]:
    """Return the files that share the most names of folders with a page, but at least one."""
    alike = [len({*image.parent.parts} & {*file.relative_to(folder).parent.parts}) for file in files]
    return [file for file, n in zip(files, alike, strict=True) if n == max(alike) > 0]
