"""Masks of couplings: the part of the input that is read, and the part that is changed."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from flowkit.errors import ShapeError

Mask = Literal["half", "first", "alternate", "checkerboard"]


class Partition:
    """The two parts of a coupling's input: the kept part determines the map of the moved part.

    - `half`: the first floor(C/2) channels are kept, the others moved.
    - `first`: the first channel is kept, the others moved: after `haar`, the averages and the details of an
      input of one channel.
    - `alternate`: the second, fourth, ... channels are kept, the others moved.
    - `checkerboard`: all channels of the cells with even row + column are kept, the other cells moved;
      for any H and W, and any C (Dinh et al., RealNVP, arXiv:1605.08803, section 3.4).

    Channel parts are tensors of `kept` and `moved` channels. The checkerboard's have all channels and all
    cells: the kept part is zero in the cells that move, and the moved part comes with `cells`, which is 1
    where its values are to be changed and 0 where they must stay as they are.

    Args:
        channels: of the input; two or more, except with a checkerboard.
        mask: one of the above.
        flip: swap the roles of the two parts.

    Raises:
        ShapeError: too few channels to divide.
    """

    def __init__(self, channels: int, mask: Mask, flip: bool) -> None:
        if channels < 2 and mask != "checkerboard":
            raise ShapeError(f"a coupling needs 2 channels or more, got {channels}")
        self.mask = mask
        self.flip = flip
        few = 1 if mask == "first" else channels // 2
        many = channels - few
        self.kept, self.moved = (many, few) if flip else (few, many)
        if mask == "checkerboard":
            self.kept = self.moved = channels

    @property
    def start(self) -> int | None:
        """Return the first of the moved channels, or None if they are not consecutive."""
        if self.mask not in ("half", "first"):
            return None
        return 0 if self.flip else self.kept

    def split(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Split (B, C, H, W) into kept, moved, and the checkerboard's cells (1, 1, H, W) or None."""
        if self.mask == "checkerboard":
            cells = self._cells(inputs)
            return inputs * (1 - cells), inputs, cells
        if self.mask == "alternate":
            kept, moved = inputs[:, 1::2], inputs[:, 0::2]
        else:
            few = min(self.kept, self.moved)
            kept, moved = inputs[:, :few], inputs[:, few:]
        return (moved, kept, None) if self.flip else (kept, moved, None)

    def join(self, kept: Tensor, moved: Tensor) -> Tensor:
        """Join the parts that `split` separated, (B, C, H, W)."""
        if self.mask == "checkerboard":
            return moved
        few, many = (moved, kept) if self.flip else (kept, moved)
        if self.mask in ("half", "first"):
            return torch.cat([few, many], dim=1)
        pairs = torch.stack([many[:, : few.shape[1]], few], dim=2).flatten(1, 2)
        return torch.cat([pairs, many[:, few.shape[1] :]], dim=1)

    def _cells(self, inputs: Tensor) -> Tensor:
        rows, columns = (torch.arange(n, device=inputs.device) for n in inputs.shape[2:])
        odd = (rows[:, None] + columns) % 2
        return (1 - odd if self.flip else odd).to(inputs.dtype)[None, None]
