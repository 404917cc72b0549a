"""Images at high resolution, with or without their versions at low resolution."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowkit.data.find import find_images, match
from flowkit.data.sources.base import Source
from flowkit.data.tasks import HighSheet, Kernel, PairSheet, Sheet, Task
from flowkit.errors import DataError
from flowkit.registry import register


@register("super_resolution")
class SuperResolution(Source):
    """Images; their low resolution is made by antialiased reduction, or given.

    Args:
        task: not binary.
        base: of relative paths.
        path: a folder of images at high resolution, or several; all below them count, but for truths.
        low: a folder with the same images at low resolution, called alike, exactly 1/scale as high and wide.
        kernels: what low resolution is made by: every patch by one of them, drawn at random, and what is
            validated on by the first.

    Raises:
        DataError: the target is binary, or the kernels are none that are known.
    """

    def __init__(
        self,
        task: Task,
        base: Path,
        *,
        path: str | list[str],
        low: str | None = None,
        kernels: list[Kernel] | None = None,
    ) -> None:
        super().__init__(task, base)
        self.folders = [base / p for p in ([path] if isinstance(path, str) else path)]
        self.low = None if low is None else base / low
        if kernels is not None and (low is not None or not kernels):
            why = 'are for low resolution that is made, not given as "low"' if low else "needs at least one"
            raise DataError(f'source "super_resolution": "kernels" {why}')
        self.kernels: tuple[Kernel, ...] = tuple(kernels or ("bicubic",))

    def find(self) -> Sequence[Sheet]:
        """Return the images.

        Raises:
            DataError: folders without images, images without partner, or a model that wants ink.
        """
        if self.task.binary:
            raise DataError('source "super_resolution" has no ink; binary targets want "paired" or "drawn"')
        if self.low is None:
            return [HighSheet(file, self.task, kernels=self.kernels) for file in find_images(self.folders)]
        if len(self.folders) > 1:
            raise DataError('source "super_resolution" takes one folder as "path" where "low" is given')
        pairs = match(self.low, self.folders[0])
        return [PairSheet(low, high, self.task) for low, high in pairs]
