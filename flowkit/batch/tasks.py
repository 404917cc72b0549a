"""Tasks: what a batch does with every page."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

from flowkit.batch.plan import TABLES, Sheet
from flowkit.checkpoint import locate
from flowkit.device import usable
from flowkit.errors import FlowkitError, suggest
from flowkit.flow import ConditionalFlow
from flowkit.images.dpi import LEAST, MOST, Dpi, scaled
from flowkit.images.header import Plan
from flowkit.images.picture import Picture
from flowkit.images.writer import SUFFIXES, check_fits, write_ink
from flowkit.metrics.ocr import Tesseract
from flowkit.pages.decision import Decision, check_sampling
from flowkit.pages.ink import binarize, load_binary, plan_binary
from flowkit.pages.layout import read_layout
from flowkit.pages.options import SamplingOptions
from flowkit.pages.page import Page
from flowkit.pages.polarity import Invert, check_invert
from flowkit.pages.precision import resolved
from flowkit.pages.readings import read_words
from flowkit.pages.working_scale import Scale, check_scale

Progress = Callable[[int, int], None]
"""Called with the steps of a page that are done, and the steps in all."""

Fields = dict[str, Any]
"""Some of the fields of a `Record`, in plain values."""

WORST_TILES = 3


@dataclass(frozen=True, kw_only=True)
class Task(SamplingOptions, ABC):
    """The work on every page: plain values, which are sent to the processes.

    Attributes:
        model: a model that ships with flowkit, or a checkpoint.
        device: where the models are.
        memory: bytes that one process may need at its highest.
        pdf_dpi: dots per inch that pages of PDF files are drawn at; None: those of their images, see `read`.
        pdf_password: where the password of encrypted PDF files is to be read, "file:PATH" or "env:NAME".
    """

    model: str
    device: str = "cpu"
    pdf_dpi: float | None = None
    pdf_password: str | None = None

    maps: ClassVar[tuple[str, ...]] = ()
    """Kinds of files that can be written beside a page."""
    reads_layouts: ClassVar[bool] = False  # does `do` heed the layouts of pages?

    @property
    @abstractmethod
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of the files that results can be."""

    @abstractmethod
    def load(self) -> ConditionalFlow:
        """Load the model, and check that it is one for this task.

        Raises:
            CheckpointError: it cannot be loaded, or is for something else.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return all that the results depend on beside the model, as the report has it.

        Raises:
            ValueError: an option is out of its range, or they contradict each other.
            FlowkitError: there is no such device here, or it does not compute in `precision`.
        """

    @abstractmethod
    def do(self, flow: ConditionalFlow, picture: Picture, sheet: Sheet, progress: Progress) -> Fields:
        """Compute a page and write its files, the result last; return what the report is to say of it."""

    @abstractmethod
    def plan(self, flow: ConditionalFlow, sheet: Sheet) -> Plan:
        """Return what refuses a page that cannot fit into memory by its header, before it is decoded."""

    def check(self, maps: Collection[str], *, keep_samples: bool) -> None:
        """Refuse what cannot be written beside the pages.

        Raises:
            FlowkitError: there is no such map, or it wants more samples.
        """
        for kind in maps:
            if kind not in self.maps:
                raise FlowkitError(f'unknown map "{kind}"; {suggest(kind, self.maps)}')

    def located(self) -> Task:
        """Return the task with absolute paths of its models, for processes with another working folder."""
        return replace(self, model=str(locate(self.model).resolve()))

    def _options(self) -> dict[str, Any]:
        """Return the options of a page that is read: keywords of `binarize` and `upscale`."""
        names = {option.name for option in fields(SamplingOptions)} - {"max_pixels"}
        return {name: getattr(self, name) for name in names}

    def _shared_settings(self) -> dict[str, Any]:
        precision = resolved(self.precision, usable(self.device).type)
        if self.pdf_dpi is not None and not LEAST <= self.pdf_dpi <= MOST:
            raise ValueError(f"pdf_dpi must be from {LEAST:g} to {MOST:,.0f}, got {self.pdf_dpi:g}")
        return {"precision": precision, "pdf_dpi": self.pdf_dpi}

    @staticmethod
    def _check_fits(flow: ConditionalFlow, picture: Picture, sheet: Sheet) -> None:
        """Raise OutputError where a file cannot hold the result, before it is computed."""
        height, width = (side * flow.scale for side in picture.size)
        for path in (sheet.result, *sheet.samples):
            check_fits(path, (height, width), scaled(picture.dpi, flow.scale))


@dataclass(frozen=True, kw_only=True)
class Binarize(Task):
    """Pages in black and white; see `flowkit.pages.binarize` for the options.

    Attributes:
        bits: of the map "probability", 8 or 16.
        ocr: the language of "readings", as Tesseract names it.
    """

    model: str = "binarize"
    decision: Decision | None = None
    bits: int = 8
    ocr: str | None = None
    likelihood: bool = False
    scale: Scale = "auto"
    invert: Invert = "auto"

    maps: ClassVar[tuple[str, ...]] = ("probability", "uncertainty", *TABLES)
    reads_layouts: ClassVar[bool] = True

    @property
    def suffixes(self) -> tuple[str, ...]:
        """See `Task.suffixes`."""
        return SUFFIXES

    def check(self, maps: Collection[str], *, keep_samples: bool) -> None:
        """See `Task.check`."""
        super().check(maps, keep_samples=keep_samples)
        for kind in (*maps, *(["save-samples"] if keep_samples else [])):
            if self.samples == 1:
                raise FlowkitError(f"--{kind} is made of samples: expected --samples 2 or more, got 1")
        if ("readings" in maps) != (self.ocr is not None):
            given, missing = ("readings", "ocr LANG") if self.ocr is None else ("ocr", "readings PLACE")
            raise FlowkitError(f"--{given} needs --{missing}, too")
        if self.ocr is not None:
            Tesseract(self.ocr)

    def load(self) -> ConditionalFlow:
        """See `Task.load`."""
        return load_binary(self.model).to(self.device)

    def settings(self) -> dict[str, Any]:
        """See `Task.settings`."""
        drawn = check_sampling(self.decision, self.temperature, self.samples, self.seed)
        return {
            "task": "binarize",
            "seed": self.seed,
            "temperature": drawn.temperature,
            "samples": self.samples,
            "decision": {None: "mode", 0.5: "mean"}.get(drawn.threshold, drawn.threshold),
            "bits": self.bits,
            "scale": check_scale(self.scale),
            "invert": check_invert(self.invert),
            **({"likelihood": True} if self.likelihood else {}),  # a page that was scored serves without, too
            **({"ocr": self.ocr} if self.ocr is not None else {}),
            **self._shared_settings(),
        }

    def plan(self, flow: ConditionalFlow, sheet: Sheet) -> Plan:
        """See `Task.plan`."""
        drawn = check_sampling(self.decision, self.temperature, self.samples, self.seed)
        return plan_binary(flow, drawn, memory=self.memory, keep_samples=self.samples > 1)

    def do(self, flow: ConditionalFlow, picture: Picture, sheet: Sheet, progress: Progress) -> Fields:
        """See `Task.do`."""
        self._check_fits(flow, picture, sheet)
        page = binarize(
            picture,
            model=flow,
            decision=self.decision,
            likelihood=self.likelihood,
            scale=self.scale,
            invert=self.invert,
            keep_samples=self.samples > 1,  # they are counted
            layout=None if sheet.layout is None else read_layout(sheet.layout),
            progress=progress,
            **self._options(),
        )
        if "probability" in sheet.maps:
            page.save_probability(sheet.maps["probability"], bits=self.bits)
        if "uncertainty" in sheet.maps:
            page.save_uncertainty(sheet.maps["uncertainty"])
        if "components" in sheet.maps:
            page.save_components(sheet.maps["components"])
        if self.ocr is not None and "readings" in sheet.maps:
            read_words(page, self.ocr).save(sheet.maps["readings"])
        for index, path in enumerate(sheet.samples):
            write_ink(path, page.sample(index), page.dpi)
        page.save(sheet.out)
        return {
            **size(page.binary.shape, page.dpi),
            **doubt(page),
            "scales": page.scales,
            "notes": page.notes,
        }


def size(shape: tuple[int, ...], dpi: Dpi) -> Fields:
    """Return the size of a result, as a record has it."""
    return {"width": shape[1], "height": shape[0], "dpi": dpi}


def doubt(page: Page) -> Fields:
    """Return the share of ink, and figures of doubt, None where nothing was drawn or asked for."""
    said: Fields = {
        "ink": float(page.binary.mean()),
        "bits_per_dim": _finite(page.bits_per_dim),
        "mean_entropy": page.mean_entropy,
    }
    if page.counts is not None:
        said["counts"] = {name: asdict(spread) for name, spread in page.counts._asdict().items()}
    if page.review is not None:
        worst = zip(page.review.worst(), range(WORST_TILES), strict=False)
        said["review"] = page.review.score
        said["worst_tiles"] = [
            {"score": part.score, "box": [part.cols.start, part.rows.start, part.cols.stop, part.rows.stop]}
            for part, _ in worst
        ]
    return said


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None  # JSON has no infinity
