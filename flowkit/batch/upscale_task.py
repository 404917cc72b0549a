"""The task of enlarging, and of the ink of what was enlarged."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

from flowkit.batch.file_identity import digest
from flowkit.batch.plan import Sheet
from flowkit.batch.tasks import Fields, Progress, Task, size
from flowkit.checkpoint import locate
from flowkit.flow import ConditionalFlow
from flowkit.images.header import Plan
from flowkit.images.picture import Picture
from flowkit.images.writer import PHOTO_SUFFIXES, SUFFIXES, write_picture
from flowkit.pages.decision import check_sampling
from flowkit.pages.ink import binarize, load_binary
from flowkit.pages.upscaling import levels_for, load_continuous, plan_continuous, upscale


@dataclass(frozen=True, kw_only=True)
class Upscale(Task):
    """Pages made larger; see `flowkit.pages.upscale` for the options.

    Attributes:
        focus: whether pixels that are far from ink are enlarged without the model.
        binarize: whether the result is the ink of the enlarged page.
        ink_model: the model that either of them uses.
    """

    model: str = "super-resolve-x4"
    focus: bool = False
    binarize: bool = False
    ink_model: str = "binarize"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """See `Task.suffixes`."""
        return SUFFIXES if self.binarize else PHOTO_SUFFIXES

    def load(self) -> ConditionalFlow:
        """See `Task.load`."""
        if self._needs_ink:
            _ink_model(self.ink_model, self.device)
        return load_continuous(self.model).to(self.device)

    def settings(self) -> dict[str, Any]:
        """See `Task.settings`."""
        drawn = check_sampling(None, self.temperature, self.samples, self.seed)
        return {
            "task": "upscale",
            "seed": self.seed,
            "temperature": drawn.temperature,
            "samples": self.samples,
            "focus": self.focus,
            "binarize": self.binarize,
            **self._shared_settings(),
            **({"ink_model_sha256": digest(locate(self.ink_model))} if self._needs_ink else {}),
        }

    def plan(self, flow: ConditionalFlow, sheet: Sheet) -> Plan:
        """See `Task.plan`."""
        drawn = check_sampling(None, self.temperature, self.samples, self.seed)
        return plan_continuous(flow, drawn, memory=self.memory, keep_samples=bool(sheet.samples))

    def do(self, flow: ConditionalFlow, picture: Picture, sheet: Sheet, progress: Progress) -> Fields:
        """See `Task.do`."""
        self._check_fits(flow, picture, sheet)
        ink = _ink_model(self.ink_model, self.device) if self._needs_ink else None
        page = upscale(
            picture,
            model=flow,
            focus=ink if self.focus else None,
            keep_samples=bool(sheet.samples),
            progress=progress,
            **self._options(),
        )
        if page.samples is not None:
            for path, sample in zip(sheet.samples, page.samples, strict=True):
                write_picture(path, levels_for(path, sample), page.dpi)
        said = {**size(page.image.shape, page.dpi), "notes": page.notes}
        if not self.binarize and levels_for(sheet.out, page.image).dtype != page.image.dtype:
            said["notes"] += (f"its 16 bits are written as 8 ({sheet.out.suffix} holds no more)",)
        if not self.binarize or ink is None:
            page.save(sheet.out)
            return said
        large = Picture(page.image.reshape(*page.image.shape[:2], -1), page.dpi)
        found = binarize(large, model=ink, memory=self.memory, precision=self.precision)
        found.save(sheet.out)
        notes = tuple(dict.fromkeys((*page.notes, *found.notes)))
        return {**said, "ink": float(found.binary.mean()), "scales": found.scales, "notes": notes}

    def located(self) -> Task:
        """See `Task.located`."""
        ink = str(locate(self.ink_model).resolve()) if self._needs_ink else self.ink_model
        return replace(self, model=str(locate(self.model).resolve()), ink_model=ink)

    @property
    def _needs_ink(self) -> bool:
        return self.focus or self.binarize


@functools.lru_cache(maxsize=1)
def _ink_model(name: str, device: str) -> ConditionalFlow:
    return load_binary(name).to(device)
