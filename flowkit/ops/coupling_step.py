"""The inverse of an affine coupling, and of what follows it at single cells, in one call on a processor.

In plain torch, each operation writes its result to memory and the next one reads it. The compiled function
goes row by row, keeps what it makes in the caches, and needs no memory but for the result.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkit.errors import KernelError, ShapeError
from flowkit.ops.coupling_library import library
from flowkit.ops.formula import affine_formula
from flowkit.ops.kernels import policy, warn
from flowkit.ops.scale import SCALES, Scale

MULTIPLE = 16
MOST_HIDDEN = 256

_SIZES = (
    *("height", "width", "channels", "kept", "moved", "first_kept", "first_moved", "hidden", "low", "scale"),
)
_STRIDES = ("z_plane", "z_row")
_POINTERS = (
    *("z", "context", "context_gain", "context_bias", "on_latent", "mix", "mix_bias", "last", "last_bias"),
    *("cell_shift", "cell_gain", "channel_bias", "channel_map", "out"),
)


class _Job(ctypes.Structure):
    """`Job` of coupling_job.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in _SIZES),
        ("eps", ctypes.c_double),
        *((name, ctypes.c_int64) for name in _STRIDES),
        *((name, ctypes.c_void_p) for name in _POINTERS),
    ]


class Maps(NamedTuple):
    """The weights of a coupling's network, in float32.

        parameters = O relu(M relu(gain (A u + B z1) + bias) + m) + o

    Attributes:
        on_latent: B (hidden, kept, 3, 3).
        mix: M (hidden, hidden).
        mix_bias: m (hidden,).
        last: O (2 moved, hidden, 3, 3): shift, then raw scale.
        last_bias: o (2 moved,).
        context_gain: gain (hidden,), or None for 1.
        context_bias: bias (hidden,), or None for 0; both or none.
    """

    on_latent: Tensor
    mix: Tensor
    mix_bias: Tensor
    last: Tensor
    last_bias: Tensor
    context_gain: Tensor | None = None
    context_bias: Tensor | None = None


class CouplingStep:
    """The inverse of an affine coupling, and of maps of single cells that follow it.

        x2 = z2 / s(z1, u) - shift(z1, u);    x = x gain + shift at every cell;    x = W x + b

    The second and the third map may be missing. The scale s is `flowkit.ops.log_scale`'s.

    Args:
        maps: of the coupling's network.
        start: the first of the moved channels: 0, or the number of kept ones.
        scale: the scale map.
        eps: added to s.
        affine: W (C, C) and b (C,), or None.

    Raises:
        ShapeError: `serves` is false of these shapes.
    """

    def __init__(
        self,
        maps: Maps,
        start: int,
        *,
        scale: Scale = "soft",
        eps: float = 0.0,
        affine: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        if not self.serves(maps):
            raise ShapeError(
                f"expected kernels of 3 x 3 and hidden channels in multiples of {MULTIPLE}, at most "
                f"{MOST_HIDDEN}; got {tuple(maps.on_latent.shape)} and {tuple(maps.last.shape)}"
            )
        hidden, kept = maps.on_latent.shape[:2]
        moved = maps.last.shape[0] // 2
        self.channels, self.hidden = kept + moved, hidden
        weight, bias = (None, None) if affine is None else affine
        self._tensors = {
            "on_latent": maps.on_latent.permute(3, 2, 1, 0),
            "mix": maps.mix.T,
            "mix_bias": maps.mix_bias,
            "last": maps.last.permute(2, 3, 1, 0),
            "last_bias": maps.last_bias,
            "context_gain": maps.context_gain,
            "context_bias": maps.context_bias,
            "channel_map": weight,
            "channel_bias": bias,
        }
        self._tensors = {
            name: None if tensor is None else tensor.detach().float().contiguous()
            for name, tensor in self._tensors.items()
        }
        self._numbers = {
            "channels": self.channels,
            "kept": kept,
            "moved": moved,
            "first_kept": 0 if start else moved,
            "first_moved": start,
            "hidden": hidden,
            "scale": SCALES.index(scale),
            "eps": eps,
        }

    @staticmethod
    def serves(maps: Maps) -> bool:
        """Return true if the compiled function knows these shapes."""
        hidden = maps.on_latent.shape[0]
        kernels = {*maps.on_latent.shape[2:], *maps.last.shape[2:]}
        return kernels == {3} and hidden % MULTIPLE == 0 and hidden <= MOST_HIDDEN

    def __call__(
        self,
        z: Tensor,
        context: Tensor,
        cells: tuple[Tensor, Tensor] | None = None,
        *,
        level: int | None = None,
    ) -> Tensor:
        """Invert one image's latent, or one sample's, without gradients.

        Args:
            z: (1, C, H, W), float32, on a processor.
            context: A u (1, hidden, H, W), float32, or bfloat16: then processors with instructions for it
                (AVX-512 BF16, AMX) add products of bfloat16 values in float32; others compute in float32.
            cells: shift and gain (1, C, H, W) of the second map, float32.
            level: the index in `coupling_library.LEVELS` of the best instructions to use, for tests.

        Returns:
            x (1, C, H, W), float32.

        Raises:
            ShapeError: the shapes do not fit.
            KernelError: there is no library, see `available`.
        """
        found = library()
        if found.invert is None:
            raise KernelError("the coupling's library for processors was not built")
        expected = 1, self.hidden, *z.shape[2:]
        if z.shape[:2] != (1, self.channels) or context.shape != expected:
            raise ShapeError(
                f"expected z (1, {self.channels}, H, W) and a context {expected}, got {tuple(z.shape)} and "
                f"{tuple(context.shape)}"
            )
        shift, gain = (None, None) if cells is None else cells
        if z.stride(3) != 1:
            z = z.contiguous()
        out = torch.empty(z.shape)
        tensors = {
            **self._tensors,
            "z": z,
            "context": context.permute(0, 2, 3, 1).contiguous(),
            "cell_shift": None if shift is None else shift.contiguous(),
            "cell_gain": None if gain is None else gain.contiguous(),
            "out": out,
        }
        job = _Job(
            **self._numbers,
            height=z.shape[2],
            width=z.shape[3],
            z_plane=z.stride(1),
            z_row=z.stride(2),
            low=int(context.dtype == torch.bfloat16),
            **{name: tensor.data_ptr() for name, tensor in tensors.items() if tensor is not None},
        )
        if out.numel() and found.invert(job, found.level if level is None else level):
            raise ShapeError(f"the compiled coupling does not serve {self.hidden} hidden channels")
        return out


def available(z: Tensor, context: Tensor) -> bool:
    """Return true if the compiled function serves such tensors; the first call compares it with the formula.

    Raises:
        KernelError: FLOWKIT_KERNELS is `require`, and there is no library, or a wrong one.
        FlowkitError: FLOWKIT_KERNELS has no valid value.
    """
    return (
        z.device.type == "cpu"
        and z.dtype == torch.float32
        and z.shape[0] == context.shape[0] == 1
        and context.dtype in (torch.float32, torch.bfloat16)
        and library().invert is not None
        and _right(library().path)
    )


@functools.cache
def _right(path: Path) -> bool:
    """Return true if a library computes what it should, on a few numbers; warn if it does not.

    Raises:
        KernelError: it does not, and FLOWKIT_KERNELS is `require`.
    """
    numbers = torch.Generator().manual_seed(0)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=numbers)

    maps = Maps(some(32, 2, 3, 3), some(32, 32) / 6, some(32), some(4, 32, 3, 3) / 17, some(4))
    z, cells, affine = some(1, 4, 3, 37), (some(1, 4, 3, 37), some(1, 4, 3, 37)), (some(4, 4), some(4))
    for dtype, limit in ((torch.float32, 1e-4), (torch.bfloat16, 5e-2)):
        context = some(1, 32, 3, 37).to(dtype, memory_format=torch.channels_last)
        found = CouplingStep(maps, 2, affine=affine)(z, context, cells)
        error = float((found - _formula(maps, z, context.float(), cells, affine)).abs().max())
        if not error < limit:
            why = f"{path} computes wrong results, off by {error:.1g}"
            if policy() == "require":
                raise KernelError(why)
            warn(why)
            return False
    return True


def _formula(
    maps: Maps, z: Tensor, context: Tensor, cells: tuple[Tensor, Tensor], affine: tuple[Tensor, Tensor]
) -> Tensor:
    """Compute in plain torch what `CouplingStep` does, where the second half of the channels moves."""
    kept, moved = z.chunk(2, dim=1)
    hidden = torch.relu(context + F.conv2d(kept, maps.on_latent, padding=1))
    hidden = torch.relu(F.conv2d(hidden, maps.mix[:, :, None, None], maps.mix_bias))
    shift, raw = F.conv2d(hidden, maps.last, maps.last_bias, padding=1).chunk(2, dim=1)
    moved, _ = affine_formula(moved, shift, raw, inverse=True)
    x = cells[0] + torch.cat([kept, moved], dim=1) * cells[1]
    return F.conv2d(x, affine[0][:, :, None, None], affine[1])
