"""The encoder of unconditional flows: features that are zero."""

from __future__ import annotations

from torch import Tensor

from flowkit.encoders.base import Encoder, check_image_options
from flowkit.layers import Shape
from flowkit.registry import register


@register("none")
class NoFeatures(Encoder):
    """Zeros for features: the flow is unconditional, p(y); only the number and size of the images count.

    There is one channel at every stride, so that any recipe can use this encoder.
    `model(torch.zeros(1, 1, 32, 32))` is the distribution of targets of 32 x 32.

    Args:
        in_channels: channels of the image.

    Raises:
        ShapeError: the channels are not positive.
    """

    def __init__(self, *, in_channels: int = 1) -> None:
        super().__init__()
        check_image_options(in_channels, 1)
        self.in_channels = in_channels
        self.scale = 1
        self.strides: set[int] = set()

    def provide(self, stride: int) -> Shape:
        """Promise zeros at any stride.

        Raises:
            ShapeError: it is not positive.
        """
        if stride < 1:
            raise self._refuse(stride, [1, 2, 3])
        self.strides.add(stride)
        return Shape(1, stride)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Return zeros (B, 1, h / stride, w / stride) at every promised stride."""
        height, width = image.shape[2:]
        return {
            stride: image.new_zeros(image.shape[0], 1, height // stride, width // stride)
            for stride in sorted(self.strides)
        }
