"""Latents of a page's samples, tile by tile: noise by place, and what the page has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from flowkit.flow import ConditionalFlow
from flowkit.layers.features import Features
from flowkit.layers.network import condition
from flowkit.pages.noise import PageNoise
from flowkit.pages.tiles import Tile

ONCE = range(1)


class PageLatents:
    """The latents of every sample of a page, any tile of which can be had at any time.

    Args:
        model: whose latents they are.
        seed: of all numbers, 0 or more.
    """

    def __init__(self, model: ConditionalFlow, seed: int) -> None:
        self.model = model
        self.noise = PageNoise(seed)

    def of(self, tile: Tile, sample: int | None, temperatures: Sequence[float]) -> list[Tensor]:
        """Return the latents (1, C, h, w) of a tile's window; 0 for no sample, that is, temperature 0."""
        latents = []
        for index, (channels, stride) in enumerate(self.model.latents):
            # windows begin on the model's grid, which is a multiple of every latent's
            rows, cols = (
                range(span.first * self.model.scale // stride, span.last * self.model.scale // stride)
                for span in tile
            )
            if sample is None:
                z = torch.zeros(channels, len(rows), len(cols))
            else:
                z = temperatures[index] * self.noise.window(sample, index, channels, rows, cols)
            latents.append(z.unsqueeze(0).to(self._like()))
        return latents

    def share_factor(
        self,
        features: Mapping[int, Features],
        samples: Sequence[int | None],
        temperature: float,
        latents: Sequence[list[Tensor]],
    ) -> None:
        """Add to each sample's last latent what its page has in common, x = e + w n: see `CommonFactor`.

        Args:
            features: of the tile's window.
            samples: their numbers.
            temperature: of the last latent.
            latents: of the tile's window, of each sample.
        """
        if self.model.factor is None:
            return
        (loadings,) = self.loadings(features)
        index = len(self.model.latents) + 1  # the one before is dequantisation's
        for sample, levels in zip(samples, latents, strict=True):
            if sample is not None:
                common = float(self.noise.window(sample, index, 1, ONCE, ONCE))
                levels[-1] = levels[-1] + temperature * common * loadings

    def loadings(self, features: Mapping[int, Features]) -> Any:
        """Return the common factor's context: its loadings in a window."""
        factor = self.model.factor
        assert factor is not None and factor.context is not None
        return condition(factor, features[factor.context.stride])

    def dequantisation(self, channels: int, rows: range, cols: range) -> Tensor:
        """Return the noise (1, C, h, w) by which a target is dequantised."""
        return self.noise.window(0, len(self.model.latents), channels, rows, cols).unsqueeze(0)

    def _like(self) -> Tensor:
        return next(self.model.parameters())
