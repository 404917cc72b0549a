"""Training pages before and after decoding, and the task of a model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit.data.page_files import read_ink, read_page, read_rgb, size_of
from flowkit.errors import DataError
from flowkit.flow import ConditionalFlow
from flowkit.targets import Binary

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels of the target

Kernel = Literal["bicubic", "bilinear", "box", "hamming", "lanczos"]
"""Pillow's kernels for antialiased reduction."""

KERNEL_REACH = 3  # pixels of low resolution: the widest kernel's, Lanczos'


@dataclass(frozen=True)
class Task:
    """The task of a model.

    Attributes:
        binary: whether the target is ink or no ink; otherwise it is an image.
        scale: target pixels per image pixel, along a side.
        multiple: what the sides of an image must be multiples of.
        image_channels: 3, or 1 for luma.
        target_channels: of the target: 1 if it is binary, otherwise 3, or 1 for luma.

    Raises:
        DataError: pages cannot be had with these channels.
    """

    binary: bool
    scale: int = 1
    multiple: int = 1
    image_channels: int = 3
    target_channels: int = 1

    def __post_init__(self) -> None:
        if self.image_channels not in (1, 3):
            raise DataError(
                f"training pages have 3 channels or 1, but encoder.in_channels is {self.image_channels}"
            )
        if self.binary and self.target_channels != 1:
            raise DataError(f"binary targets are trained with 1 channel, got {self.target_channels}")
        if self.target_channels not in (1, 3):
            raise DataError(
                f"training pages have 3 channels or 1, but target.channels is {self.target_channels}"
            )

    @classmethod
    def of(cls, model: ConditionalFlow) -> Task:
        """Return the task of a model."""
        target = model.target
        binary = isinstance(target, Binary)
        return cls(binary, model.scale, model.multiple, model.in_channels, target.channels)

    def check_patch(self, patch: int) -> None:
        """Refuse a patch that the flow cannot take.

        Raises:
            DataError: it names the option.
        """
        unit = self.multiple * self.scale
        if patch < 1 or patch % unit:
            raise DataError(f"train.patch must be a multiple of {unit} for this flow, got {patch}")


@dataclass(frozen=True)
class Pair:
    """A decoded page.

    Attributes:
        name: of its file, for messages.
        image: (h, w, 3), 8 bits, or at the target's resolution (H, W, 3), to be reduced; None: the target is
            reduced to make it.
        target: ink, boolean (H, W); or an image (H, W, 3), 8 bits. H = scale h, W = scale w.
        kernels: what patches are reduced by, each by one of them; the whole page by the first.
        notes: of the reader, on the image.
    """

    name: str
    image: NDArray[np.uint8] | None
    target: NDArray[Any]
    kernels: tuple[Kernel, ...] = ("bicubic",)
    notes: tuple[str, ...] = ()

    def high(self, scale: int) -> NDArray[Any] | None:
        """Return the source of the image at low resolution, or None if there is such an image."""
        if self.image is None:
            return self.target
        return self.image if scale > 1 and self.image.shape[:2] == self.target.shape[:2] else None

    def whole(self, scale: int) -> Pair:
        """Return the page with an image at low resolution, its sides multiples of the scale."""
        high = self.high(scale)
        if high is None:
            return self
        height, width = (n // scale * scale for n in high.shape[:2])
        low = reduce(high[:height, :width], scale, self.kernels[0])
        return replace(self, image=low, target=self.target[:height, :width])


def reduce(target: NDArray[np.uint8], scale: int, kernel: Kernel = "bicubic") -> NDArray[np.uint8]:
    """Reduce an image by the scale."""
    size = (target.shape[1] // scale, target.shape[0] // scale)
    return np.asarray(Image.fromarray(target).resize(size, Image.Resampling[kernel.upper()]))


class Sheet(Protocol):
    """A page that can be decoded again at any time, in any process; it must be picklable.

    Attributes:
        name: of its file, for messages.
        boxes: where patches are taken from; anywhere, if there are none.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def boxes(self) -> tuple[Box, ...]: ...  # noqa: D102

    def read(self) -> Pair:
        """Decode the page.

        Raises:
            DataError: it cannot be used.
        """
        ...


@runtime_checkable
class Endless(Protocol):
    """Endless pages: a new one appears every so many samples; they cannot be used for validation."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def draw(self, index: int, rng: np.random.Generator) -> Pair:
        """Return the page of sample `index`: a function of the index and of the numbers of `rng`."""
        ...


@dataclass(frozen=True)
class PairSheet:
    """A file with its truth, or with the image at the other resolution.

    Args:
        image: the model's input; of ink, it may have the truth's size whatever the scale, and is reduced.
        target: the file of the truth.
        task: says how the target is read.
        threshold: see `read_ink`.
    """

    image: Path
    target: Path
    task: Task
    threshold: int | None = None
    boxes: tuple[Box, ...] = ()

    @property
    def name(self) -> str:
        """Return the image's path."""
        return str(self.image)

    def read(self) -> Pair:
        """Decode both files.

        Raises:
            DataError: one of them cannot be used, or their sizes do not belong together.
        """
        picture = read_page(self.image)
        image = picture.rgb8()
        target = read_ink(self.target, self.threshold) if self.task.binary else read_rgb(self.target)
        scale = self.task.scale
        sizes = {scale, 1} if self.task.binary else {scale}
        if target.shape[:2] not in {(n * image.shape[0], n * image.shape[1]) for n in sizes}:
            times = f", and the scale is {scale}" if scale > 1 else ""
            raise DataError(
                f"{self.target}: is {size_of(target)}, but {self.image} is {size_of(image)}{times}"
            )
        return Pair(self.name, image, target, notes=picture.notes)


@dataclass(frozen=True)
class HighSheet:
    """An image at high resolution, from which the low one is made.

    Args:
        file: its rightmost columns and lowest rows are left out if its sides are no multiples of the scale.
        task: says what the scale is.
        boxes: where patches are taken from.
        size: width and height that the boxes are meant for; None if there are none.
        kernels: what patches are reduced by.
    """

    file: Path
    task: Task
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = field(default=None)
    kernels: tuple[Kernel, ...] = ("bicubic",)

    @property
    def name(self) -> str:
        """Return the file's path."""
        return str(self.file)

    def read(self) -> Pair:
        """Decode the page.

        Raises:
            DataError: it cannot be, or is smaller than one pixel of low resolution.
        """
        picture = read_page(self.file)
        image = picture.rgb8()
        if self.size is not None and self.size != (image.shape[1], image.shape[0]):
            wanted = f"{self.size[0]} x {self.size[1]}"
            raise DataError(f"{self.file}: is {size_of(image)}, but its boxes are for {wanted}")
        scale = self.task.scale
        height, width = (n // scale * scale for n in image.shape[:2])
        if not height or not width:
            raise DataError(f"{self.file}: is {size_of(image)}, less than {scale} x {scale}")
        return Pair(self.name, None, image[:height, :width], self.kernels, picture.notes)
