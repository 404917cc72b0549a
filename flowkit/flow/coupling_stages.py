"""Couplings with the maps of single cells that follow them in decoding, to be computed in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from flowkit.flow.folding import Folded
from flowkit.layers import AffineCoupling, AffineInjector, FlowLayer
from flowkit.layers.network import Low
from flowkit.ops.coupling_step import CouplingStep, available


class Stage:
    """Layers that are inverted one after the other, or all at once.

    Args:
        layers: one; or an affine coupling, then an injector, or a folded affine map, or both.
    """

    def __init__(self, layers: Sequence[FlowLayer]) -> None:
        self.layers = layers
        self._step: CouplingStep | None = None
        coupling, last = layers[0], layers[-1]
        if type(coupling) is AffineCoupling and coupling.partition.start is not None:
            maps = coupling.network.maps()
            if maps is not None and CouplingStep.serves(maps):
                self._step = CouplingStep(
                    maps,
                    coupling.partition.start,
                    scale=coupling.scale,
                    eps=coupling.eps,
                    affine=(last.back, last.back_bias) if isinstance(last, Folded) else None,
                )

    def at_once(self, values: Sequence[Tensor], contexts: Sequence[Any]) -> list[Tensor] | None:
        """Invert all layers in one call for each of the values; return None if that is not to be had.

        Args:
            values: (1, C, H, W), one or more of one image.
            contexts: of each layer.
        """
        if self._step is None:
            return None
        (projected,) = contexts[0]
        context = projected.projected if isinstance(projected, Low) else projected
        if not all(available(v, context) for v in values):
            return None
        cells = None
        if len(contexts) > 1 and contexts[1] is not None:
            shift, log_scale = contexts[1]
            cells = -shift.float(), torch.exp(-log_scale)
        return [self._step(v, context, cells) for v in values]


def stages(layers: Sequence[FlowLayer]) -> Iterator[Stage]:
    """Divide layers, in the order of decoding, into stages."""
    index = 0
    while index < len(layers):
        last = index + 1
        if type(layers[index]) is AffineCoupling:
            for follower in (AffineInjector, Folded):
                if last < len(layers) and type(layers[last]) is follower:
                    last += 1
        yield Stage(layers[index:last])
        index = last
