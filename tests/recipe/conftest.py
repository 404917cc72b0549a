"""Toy parts with every kind of option, registered for one test at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch

from flowkit.encoders import Encoder
from flowkit.errors import ShapeError
from flowkit.layers import FlowLayer, Shape
from flowkit.registry import register


@pytest.fixture(autouse=True)
def _restored(registry_restored: None) -> None:
    """Let every test here register what it likes."""


@pytest.fixture
def toys() -> None:
    @register("toy")
    class Toy(FlowLayer):
        """A layer with an option of each type."""

        def __init__(
            self,
            shape: Shape,
            *,
            need: int,
            rate: float = 0.5,
            flag: bool = False,
            text: str = "",
            mode: Literal["soft", "hard"] = "soft",
            limit: int | None = None,
            sizes: tuple[int, ...] = (1,),
            pair: tuple[int, int] = (1, 2),
            names: list[str] | None = None,
        ) -> None:
            super().__init__(shape)
            self.options = {"need": need, "rate": rate, "limit": limit, "sizes": sizes, "pair": pair}
            self.names = names
            if need == 13:
                raise ValueError("need must not be 13\nfor reasons that fill a second line")

    @register("flat")
    class Flat(Encoder):
        """Gives features at strides up to 2."""

        def __init__(self, *, width: int = 4) -> None:
            super().__init__()
            self.in_channels, self.scale, self.width = 3, 1, width

        def provide(self, stride: int) -> Shape:
            if stride > 2:
                raise ShapeError(f"no features at stride {stride}")
            return Shape(self.width, stride)

        def forward(self, image: torch.Tensor) -> dict[int, torch.Tensor]:
            raise NotImplementedError  # recipes are built, not run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
