"""One page: read, computed, written, and what the report says of it."""

from __future__ import annotations

import functools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flowkit.batch.file_identity import identity
from flowkit.batch.plan import Sheet
from flowkit.checkpoint import locate
from flowkit.device import usable
from flowkit.errors import FlowkitError, ImageError, OutputError
from flowkit.files import make_folder
from flowkit.flow import ConditionalFlow
from flowkit.images.dpi import Dpi
from flowkit.images.picture import Picture
from flowkit.images.reader import MAX_PIXELS, read
from flowkit.images.writer import write_ink, write_picture
from flowkit.pages.decision import Decision, check_sampling
from flowkit.pages.ink import binarize, load_binary
from flowkit.pages.memory import MEMORY
from flowkit.pages.page import Page
from flowkit.pages.precision import Precision, check_precision
from flowkit.pages.upscaling import load_continuous, upscale

Progress = Callable[[int, int], None]
Record = dict[str, Any]
PageWork = Callable[[Sheet, Progress], Record]
"""Does a page: its record, which says why if it fails."""

Bring = Callable[[Sheet], AbstractContextManager[tuple[Sheet, Callable[[str], str]]]]
"""A page while it is worked on, its files on this machine, and what turns messages about them into ones about
the page."""

WORST_TILES = 3


@dataclass(frozen=True)
class Work(ABC):
    """What a run does with every page: plain values, which travel to the processes that do it.

    For the attributes see `flowkit.pages.binarize`; `memory` is for one process.

    Attributes:
        device: where the models are.
    """

    model: str
    temperature: float | None = None
    samples: int = 1
    seed: int = 0
    memory: int = MEMORY
    max_pixels: int = MAX_PIXELS
    precision: Precision = "float32"
    device: str = "cpu"

    @abstractmethod
    def load(self) -> ConditionalFlow:
        """The model, checked for this work."""

    @abstractmethod
    def settings(self) -> Record:
        """What the results depend on beside the model.

        Raises:
            ValueError: an option is out of its range, or they contradict each other.
            FlowkitError: there is no such device here, or it does not compute in `precision`.
        """

    @abstractmethod
    def do(self, flow: ConditionalFlow, picture: Picture, sheet: Sheet, progress: Progress) -> Record:
        """Compute a page and write its files, the result last; what is to be said of it."""

    def begin(self, flow: ConditionalFlow, bring: Bring | None = None) -> PageWork:
        """What does a page with the model; its files are where it says, or brought."""

        def page(sheet: Sheet, progress: Progress) -> Record:
            picture = read(sheet.source, page=sheet.page, max_pixels=self.max_pixels)
            for path in sheet.files:
                make_folder(path.parent)
            return self.do(flow, picture, sheet, progress)

        return functools.partial(_attempt, page, bring or _as_it_is)

    def _common(self, sheet: Sheet, progress: Progress) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "samples": self.samples,
            "seed": self.seed,
            "memory": self.memory,
            "progress": progress,
            "keep_samples": bool(sheet.samples),
            "precision": self.precision,
        }

    def _low(self) -> Record:
        check_precision(self.precision, usable(self.device).type)
        return {} if self.precision == "float32" else {"precision": self.precision}


@dataclass(frozen=True)
class Binarizing(Work):
    """Ink from paper. Of `sheet.maps` it knows `probability` and `uncertainty`."""

    decision: Decision | None = None
    bits: int = 8
    likelihood: bool = False

    def load(self) -> ConditionalFlow:
        """See `Work.load`."""
        return load_binary(self.model).to(self.device)

    def settings(self) -> Record:
        """See `Work.settings`."""
        drawn = check_sampling(self.decision, self.temperature, self.samples, self.seed)
        return {
            "task": "binarize",
            "seed": self.seed,
            "temperature": drawn.temperature,
            "samples": self.samples,
            "decision": {None: "mode", 0.5: "mean"}.get(drawn.threshold, drawn.threshold),
            "bits": self.bits,
            **(
                {"likelihood": True} if self.likelihood else {}
            ),  # results without it are not done for one with
            **self._low(),
        }

    def do(self, flow: ConditionalFlow, picture: Picture, sheet: Sheet, progress: Progress) -> Record:
        """See `Work.do`."""
        page = binarize(
            picture,
            model=flow,
            decision=self.decision,
            likelihood=self.likelihood,
            **self._common(sheet, progress),
        )
        if "probability" in sheet.maps:
            page.save_probability(sheet.maps["probability"], bits=self.bits)
        if "uncertainty" in sheet.maps:
            page.save_uncertainty(sheet.maps["uncertainty"])
        for index, path in enumerate(sheet.samples):
            write_ink(path, page.sample(index), page.dpi)
        page.save(sheet.out)
        return {**_size(page.binary.shape, page.dpi), **_doubt(page), "notes": page.notes}


@dataclass(frozen=True)
class Upscaling(Work):
    """Pages made larger.

    Attributes:
        focus: whether what is far from ink is enlarged without the model.
        binarize: whether the result is the ink of the enlarged page.
        ink: the model that either of them uses.
    """

    focus: bool = False
    binarize: bool = False
    ink: str = "binarize"

    def load(self) -> ConditionalFlow:
        """See `Work.load`."""
        if self._needs_ink:
            _ink_model(self.ink, self.device)
        return load_continuous(self.model).to(self.device)

    def settings(self) -> Record:
        """See `Work.settings`."""
        drawn = check_sampling(None, self.temperature, self.samples, self.seed)
        return {
            "task": "upscale",
            "seed": self.seed,
            "temperature": drawn.temperature,
            "samples": self.samples,
            **{name: True for name in ("focus", "binarize") if getattr(self, name)},
            **self._low(),
            **({"ink_model_sha256": identity(locate(self.ink))["sha256"]} if self._needs_ink else {}),
        }

    def do(self, flow: ConditionalFlow, picture: Picture, sheet: Sheet, progress: Progress) -> Record:
        """See `Work.do`."""
        ink = _ink_model(self.ink, self.device) if self._needs_ink else None
        page = upscale(
            picture, model=flow, focus=ink if self.focus else None, **self._common(sheet, progress)
        )
        if page.samples is not None:
            for path, sample in zip(sheet.samples, page.samples, strict=True):
                write_picture(path, sample, page.dpi)
        record = {**_size(page.image.shape, page.dpi), "notes": page.notes}
        if not self.binarize or ink is None:
            page.save(sheet.out)
            return record
        large = Picture(page.image.reshape(*page.image.shape[:2], -1), page.dpi)
        found = binarize(large, model=ink, memory=self.memory, precision=self.precision)
        found.save(sheet.out)
        return {**record, "ink": float(found.binary.mean())}

    @property
    def _needs_ink(self) -> bool:
        return self.focus or self.binarize


@functools.lru_cache(maxsize=1)
def _ink_model(name: str, device: str) -> ConditionalFlow:
    return load_binary(name).to(device)


def _as_it_is(sheet: Sheet) -> AbstractContextManager[tuple[Sheet, Callable[[str], str]]]:
    return nullcontext((sheet, str))


def _attempt(page: PageWork, bring: Bring, sheet: Sheet, progress: Progress) -> Record:
    """Do a page, whatever happens."""
    began = time.perf_counter()
    record: Record = {}
    named: Callable[[str], str] = str
    try:
        with bring(sheet) as (sheet, named):
            if sheet.source.is_file():
                record |= identity(sheet.source)
            record |= {"status": "done", **page(sheet, progress)}
    except (ImageError, OutputError) as error:  # they name the file
        record |= failure(str(error))
    except FlowkitError as error:
        record |= failure(f"{sheet.name}: {error}")
    except MemoryError:
        record |= failure(f"{sheet.name}: does not fit into memory")
    except Exception as error:  # whatever it is, it is no reason to stop before the next page
        record |= failure(f"{sheet.name}: {type(error).__name__}: {error}")
    if "error" in record:
        record["error"] = named(record["error"])
    record["seconds"] = round(time.perf_counter() - began, 3)
    record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    return record


def failure(error: str) -> Record:
    """What a record says of a page that cannot be done."""
    return {"status": "failed", "error": error}


def _size(shape: tuple[int, ...], dpi: Dpi) -> Record:
    return {"width": shape[1], "height": shape[0], "dpi": dpi}


def _doubt(page: Page) -> Record:
    """Ink, and figures of doubt, null where nothing was drawn or asked for."""
    doubt: Record = {
        "ink": float(page.binary.mean()),
        "bits_per_dim": _finite(page.bits_per_dim),
        "mean_entropy": page.mean_entropy,
        "review": None,
        "worst_tiles": [],
    }
    if page.review is not None:
        doubt["review"] = page.review.score
        for part, _ in zip(page.review.worst(), range(WORST_TILES), strict=False):
            box = [part.cols.start, part.rows.start, part.cols.stop, part.rows.stop]
            doubt["worst_tiles"].append({"score": part.score, "box": box})
    return doubt


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None  # JSON has no infinity
