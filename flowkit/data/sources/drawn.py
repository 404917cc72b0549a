"""Pages that flowkit draws itself: as many as are wanted, with a truth that is exact."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flowkit.data.sources.base import Found, Source
from flowkit.data.tasks import Box, Pair, Task
from flowkit.degradations import Compose, Degradation, degradations_from
from flowkit.degradations.scan import drawn_pair
from flowkit.errors import DataError, suggest
from flowkit.registry import register
from flowkit.synthetic.layouts import LAYOUTS

WINDOW = 16  # endless pages that samples of one time are cut from ...
TURNOVER = 64  # ... of which one is replaced after so many samples: drawing costs more than cutting
_FONTS = threading.Lock()  # they are shared, and hold the state of what is being drawn


@register("drawn")
class Drawn(Source):
    """Pages of text drawn from nothing (`flowkit.synthetic.page`), made into scans (`drawn_pair`).

    For ink, the truth is what is seen of the strokes before anything veils them; for images, the target is
    the scan itself.

    Args:
        task: what the pages are for.
        base: not used.
        pages: how many; without a number, there is a new one every 64 samples, without end.
        width: of a page, in target pixels.
        height: of a page, in target pixels.
        seed: of the pages; another seed, other pages.
        degradations: what happens to the pages: a preset's name, or a list as in `train.degrade`.
        text_size: the least and the greatest em of the body text, in pixels.
        layouts: what pages look like, one of these at random, see `flowkit.synthetic.layouts`.
        clean: the share of pages that are clean prints, without degradations.

    Raises:
        DataError: an option is out of its limits, or the pages are less than a pixel at low resolution.
    """

    def __init__(
        self,
        task: Task,
        base: Path,
        *,
        pages: int | None = None,
        width: int = 640,
        height: int = 640,
        seed: int = 0,
        degradations: str | Sequence[Degradation] = "archive",
        text_size: tuple[float, float] = (18.0, 56.0),
        layouts: tuple[str, ...] = ("book",),
        clean: float = 0.0,
    ) -> None:
        super().__init__(task, base)
        for name, value, least in (("pages", pages, 1), ("width", width, 1), ("height", height, 1)):
            if value is not None and value < least:
                raise DataError(f'option "{name}" of source "drawn" must be {least} or more, got {value}')
        if seed < 0:
            raise DataError(f'option "seed" of source "drawn" must be 0 or more, got {seed}')
        if not 0 < text_size[0] <= text_size[1]:
            raise DataError(
                f'option "text_size" of source "drawn" must be [low, high] above 0, got {list(text_size)}'
            )
        if not 0 <= clean <= 1:
            raise DataError(f'option "clean" of source "drawn" must be within 0 to 1, got {clean:g}')
        known = ("book", *LAYOUTS)
        if not layouts or (wrong := [name for name in layouts if name not in known]):
            found = f'unknown layout "{wrong[0]}"; {suggest(wrong[0], known)}' if layouts else "is empty"
            raise DataError(f'option "layouts" of source "drawn": {found}')
        worse = degradations_from(degradations) if isinstance(degradations, str) else Compose(degradations)
        self.pages = pages
        self.sheet = DrawnSheet(
            0,
            task,
            width // task.scale,
            height // task.scale,
            seed,
            worse,
            text_size=text_size,
            layouts=layouts,
            clean=clean,
        )
        if not self.sheet.width or not self.sheet.height:
            raise DataError(
                f'source "drawn": {width} x {height} pixels are less than 1 x 1 at low resolution'
            )

    def find(self) -> Found:
        """Return the pages, none of them drawn yet."""
        if self.pages is None:
            return EndlessPages(self.sheet)
        return [self.sheet.of(number) for number in range(self.pages)]


@dataclass(frozen=True)
class DrawnSheet:
    """One page: width and height are those of its image."""

    number: int
    task: Task
    width: int
    height: int
    seed: int
    degradations: Compose
    boxes: tuple[Box, ...] = ()
    text_size: tuple[float, float] = (18.0, 56.0)
    layouts: tuple[str, ...] = ("book",)
    clean: float = 0.0

    @property
    def name(self) -> str:
        """Return the seed and the options by which the page can be drawn again."""
        return f"drawn page {self.number} of seed {self.seed}"

    def of(self, number: int) -> DrawnSheet:
        """Return another page of the same kind."""
        return replace(self, number=number)

    def read(self) -> Pair:
        """Draw it."""
        rng = np.random.default_rng([self.seed, self.number])
        with _FONTS:
            height, width = (side * self.task.scale for side in (self.height, self.width))
            scan, ink = drawn_pair(
                rng,
                height,
                width,
                self.degradations,
                text_size=self.text_size,
                layouts=self.layouts,
                clean=self.clean,
            )
        return Pair(self.name, scan, ink) if self.task.binary else Pair(self.name, None, scan)


@dataclass(frozen=True)
class EndlessPages:
    """A window of `WINDOW` pages that moves on by one with every `TURNOVER` samples."""

    sheet: DrawnSheet

    @property
    def name(self) -> str:
        """Return the seed and the options by which the pages can be drawn again."""
        return f"drawn pages of seed {self.sheet.seed}"

    def draw(self, index: int, rng: np.random.Generator) -> Pair:
        """Return one of the pages that are in the window at sample `index`."""
        return _drawn(self.sheet.of(index // TURNOVER + int(rng.integers(WINDOW))))


@functools.lru_cache(maxsize=2 * WINDOW)
def _drawn(sheet: DrawnSheet) -> Pair:
    return sheet.read()
