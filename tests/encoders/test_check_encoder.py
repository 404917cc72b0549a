"""`check_encoder` must fail for an encoder that is wrong, each in its way; `build` refuses such, too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from flowkit import Shape, build, registry
from flowkit.encoders import Encoder
from flowkit.errors import RecipeError, ShapeError
from flowkit.testing import check_encoder


class Right(Encoder):
    """A 3x3 convolution at stride 2; each class below spoils one thing."""

    def __init__(self) -> None:
        super().__init__()
        self.in_channels, self.scale, self.reach = 1, 1, 2
        self.multiple = self.grid = 2
        self.net = nn.Conv2d(4, 3, 3, padding=1)

    def provide(self, stride: int) -> Shape:
        if stride != 2:
            raise self._refuse(stride, [2])
        return Shape(3, 2)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        return {2: self.net(nn.functional.pixel_unshuffle(image, 2))}


class NoScale(Right):
    def __init__(self) -> None:
        super().__init__()
        del self.scale


class ReturnsChannels(Right):
    def provide(self, stride: int) -> int:
        return 3


class TakesAnyStride(Right):
    def provide(self, stride: int) -> Shape:
        return Shape(3, stride)


class OtherChannels(Right):
    def provide(self, stride: int) -> Shape:
        return super().provide(stride)._replace(channels=4)


class FurtherStrides(Right):
    def forward(self, image: Tensor) -> dict[int, Tensor]:
        return super().forward(image) | {1: image}


class SeesTheBatch(Right):
    def forward(self, image: Tensor) -> dict[int, Tensor]:
        return super().forward(image - image.mean(0, keepdim=True))


class SeesFurther(Right):
    def __init__(self) -> None:
        super().__init__()
        self.reach = 1


class NotOnItsGrid(Right):
    def forward(self, image: Tensor) -> dict[int, Tensor]:
        u = super().forward(image)[2]
        return {2: u * (1 + torch.arange(u.shape[2])[:, None] % 2)}


class LowPrecision(Right):
    def forward(self, image: Tensor) -> dict[int, Tensor]:
        return {2: super().forward(image)[2].float()}


class InPlace(Right):
    def forward(self, image: Tensor) -> dict[int, Tensor]:
        return super().forward(image.detach().mul_(0.5))


class WrongFeatures(Right):
    def features(self, image: Tensor) -> dict[int, Tensor]:
        return {2: 2 * self(image)[2]}


class NotContiguous(Right):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.rand(2, 3).T)


class WrongStream(Right):
    def stream(self) -> WrongStream:
        return self

    def push(self, rows: Tensor, *, last: bool) -> dict[int, list[Tensor]]:
        return {2: [self(rows)[2]]}  # without the rows above and below


WRONG = [
    (NoScale, "scale is None, expected a whole number of 1 or more"),
    (ReturnsChannels, r"provide\(2\) returned 3, expected Shape\(channels, 2\)"),
    (TakesAnyStride, r"provide\(0\) returned, expected a ShapeError"),
    (OtherChannels, r"stride 2: gave \(2, 3, 3, 5\), promised \(2, 4, 3, 5\)"),
    (FurtherStrides, r"gave strides \[1, 2\], promised \[2\]"),
    (SeesTheBatch, "images of a batch see one another"),
    (SeesFurther, "a feature sees rows 2 pixels away, and reach is 1"),
    (NotOnItsGrid, "a shift by grid, 2, does not shift the features"),
    (LowPrecision, "torch.float64 became torch.float32"),
    (InPlace, "changes the image in place"),
    (WrongFeatures, "`features` and `forward` differ"),
    (NotContiguous, '"table" is not contiguous'),
    (WrongStream, "`stream` and `forward` differ"),
]


def test_a_right_encoder_passes():
    check_encoder(Right(), [2])


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_a_wrong_encoder_is_found_out(wrong, message):
    with pytest.raises(AssertionError, match=f"{wrong.__name__}: .*{message}"):
        check_encoder(wrong(), [2])


class Unfinished(Encoder):
    def forward(self, image: Tensor) -> dict[int, Tensor]:
        return {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Unfinished, 'encoder "own": .*Unfinished.*abstract method.*provide'),
        (NoScale, "encoder NoScale does not set `scale`, a whole number"),
        (ReturnsChannels, r"ReturnsChannels.provide\(2\) returned 3, expected a Shape"),
    ],
)
def test_build_names_what_an_encoder_lacks(wrong, message, monkeypatch):
    monkeypatch.setitem(registry._entries["encoder"], "own", wrong)
    flow = ["squeeze", {"type": "affine_injector", "hidden": 4}]
    with pytest.raises((RecipeError, ShapeError), match=message):
        build({"version": 1, "target": {"type": "binary"}, "encoder": {"type": "own"}, "flow": flow})
