"""The base class of encoders: an image becomes feature maps, one for each grid that the flow reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from flowkit.encoders.streaming import RowStream
from flowkit.errors import ShapeError
from flowkit.layers import Shape
from flowkit.layers.features import Features


class Encoder(nn.Module, ABC):
    """A network from an image (B, in_channels, h, w) in [0, 1] to `{stride: features}`.

    A stride counts pixels of the TARGET per cell, as in `Shape`; the target is `scale` times the image.

    To write one, set `in_channels` and `scale`, implement `provide` and `forward`, register it, and check it
    by `flowkit.testing.check_encoder`.

    Attributes:
        in_channels: channels of the image.
        scale: target pixels per image pixel, in each direction.
        multiple: the image's height and width must be multiples of it.
        grid: shifting the image by multiples of it shifts the features, and changes nothing else.
        reach: the distance, in image pixels, from which a pixel can change a feature.
        tail: the part of it that is due to `complete`.
    """

    kind = "encoder"
    in_channels: int
    scale: int
    multiple: int = 1
    grid: int = 1
    reach: int = 0
    tail: int = 0

    @abstractmethod
    def provide(self, stride: int) -> Shape:
        """Promise features at a stride, create the modules that they need, and return their shape.

        Raises:
            ShapeError: there are none at this stride.
        """
        raise NotImplementedError

    @abstractmethod
    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Compute the features at every promised stride, (B, C, h scale / stride, w scale / stride) each."""
        raise NotImplementedError

    def features(self, image: Tensor) -> Mapping[int, Features]:
        """Compute the features of `forward`, but leave upsampled parts coarse where that saves work."""
        features: Mapping[int, Features] = self(image)
        return features

    def stream(self) -> RowStream | None:
        """Start to encode a page row by row, with the same features as `features` in eval mode.

        This saves work if `reach` is large. If None is returned, as by default, pages are encoded in
        overlapping tiles.
        """
        return None

    def complete(self, streamed: dict[int, Tensor], image: Callable[[], Tensor]) -> Mapping[int, Features]:
        """Return the features of a window, from what `stream` has put out there: by default these are they.

        Features that need much memory and little work, such as upsampled ones, can be left to this function.

        Args:
            streamed: the window of every map of the stream, by stride.
            image: returns the window of the image, (B, C, h, w).
        """
        return streamed

    def _refuse(self, stride: int, possible: list[int]) -> ShapeError:
        strides = ", ".join(map(str, sorted(possible)))
        return ShapeError(
            f"encoder {type(self).__name__} has no features at stride {stride} of the target, "
            f"only at {strides}"
        )


def check_image_options(in_channels: int, scale: int) -> None:
    """Refuse options that are out of range for every encoder.

    Raises:
        ShapeError: the channels or the scale are not positive.
    """
    if in_channels < 1:
        raise ShapeError(f"in_channels must be positive, got {in_channels}")
    if scale < 1:
        raise ShapeError(f"scale must be 1 or more, got {scale}")
