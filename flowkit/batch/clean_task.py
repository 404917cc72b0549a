"""The task of cleaning: ink and pictures on white paper."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from flowkit.batch.plan import Sheet
from flowkit.batch.tasks import Fields, Progress, Task, doubt, size
from flowkit.errors import FlowkitError
from flowkit.flow import ConditionalFlow
from flowkit.images.header import Plan
from flowkit.images.picture import Picture
from flowkit.images.writer import PHOTO_SUFFIXES
from flowkit.pages.cleaning import clean, load_cleaning, plan_cleaning
from flowkit.pages.decision import check_sampling
from flowkit.pages.layout import read_layout
from flowkit.pages.polarity import Invert, check_invert
from flowkit.pages.working_scale import Scale, check_scale


@dataclass(frozen=True, kw_only=True)
class Clean(Task):
    """Pages with white paper; see `flowkit.pages.clean` for the options."""

    model: str = "binarize"
    scale: Scale = "auto"
    invert: Invert = "auto"
    pictures: bool = True

    reads_layouts: ClassVar[bool] = True

    @property
    def suffixes(self) -> tuple[str, ...]:
        """See `Task.suffixes`."""
        return PHOTO_SUFFIXES

    def check(self, maps: Collection[str], *, keep_samples: bool) -> None:
        """See `Task.check`."""
        super().check(maps, keep_samples=keep_samples)
        if keep_samples:
            raise FlowkitError("samples are ink, and no clean pages; expected save_samples with Binarize")

    def load(self) -> ConditionalFlow:
        """See `Task.load`."""
        return load_cleaning(self.model).to(self.device)

    def settings(self) -> dict[str, Any]:
        """See `Task.settings`."""
        drawn = check_sampling(None, self.temperature, self.samples, self.seed)
        return {
            "task": "clean",
            "seed": self.seed,
            "temperature": drawn.temperature,
            "samples": self.samples,
            "scale": check_scale(self.scale),
            "invert": check_invert(self.invert),
            "pictures": self.pictures,
            **self._shared_settings(),
        }

    def plan(self, flow: ConditionalFlow, sheet: Sheet) -> Plan:
        """See `Task.plan`."""
        drawn = check_sampling(None, self.temperature, self.samples, self.seed)
        return plan_cleaning(flow, drawn, memory=self.memory)

    def do(self, flow: ConditionalFlow, picture: Picture, sheet: Sheet, progress: Progress) -> Fields:
        """See `Task.do`."""
        self._check_fits(flow, picture, sheet)
        made = clean(
            picture,
            model=flow,
            scale=self.scale,
            invert=self.invert,
            pictures=self.pictures,
            layout=None if sheet.layout is None else read_layout(sheet.layout),
            progress=progress,
            **self._options(),
        )
        made.save(sheet.out)
        return {
            **size(made.image.shape, made.dpi),
            **doubt(made.page),
            "scales": made.page.scales,
            "notes": made.notes,
        }
