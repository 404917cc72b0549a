"""p(y | x) as a `torch.distributions.Distribution`, for libraries that take those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from flowkit.flow.distribution import ConditionalDistribution
from flowkit.targets import Binary, Continuous


def as_distribution(p: ConditionalDistribution) -> TorchDistribution:
    """Return p(y | x) of B images as a torch distribution: `batch_shape` (B,), `event_shape` (C, H, W).

    `sample(shape)` gives `shape + (B, C, H, W)`, and `log_prob` of it `shape + (B,)`. Targets of real values
    have `rsample` too. For discretised ones `log_prob` is the lower bound that dequantisation gives, with
    noise that is drawn at every call, and there is no `rsample`: `p.rsample` draws the value before rounding.

    >>> from flowkit import build
    >>> d = as_distribution(build("binarize").eval()(torch.rand(2, 3, 16, 32)))
    >>> d.batch_shape, d.event_shape, d.support
    (torch.Size([2]), torch.Size([1, 16, 32]), IndependentConstraint(Boolean(), 3))
    >>> d.log_prob(d.sample((5,))).shape
    torch.Size([5, 2])
    """
    return TorchDistribution(p, torch.Size([p.images]))


class TorchDistribution(Distribution):
    """A torch distribution of p(y | x); see `as_distribution`.

    Args:
        p: the distribution of a batch of B images.
        batch_shape: (..., B), or (..., n) for one image: so many independent copies.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012  # as torch declares it

    def __init__(self, p: ConditionalDistribution, batch_shape: torch.Size) -> None:
        self.p = p
        self._repeats = batch_shape if p.images == 1 else batch_shape[:-1]
        target = p.flow.target
        self.has_rsample = isinstance(target, Continuous) and target.noise != "uniform"
        super().__init__(batch_shape, torch.Size(p.target_shape), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Return the support: images (C, H, W) of 0 and 1, of values in [0, 1], or of real values."""
        values: Any = constraints.real if self.has_rsample else constraints.unit_interval
        if isinstance(self.p.flow.target, Binary):
            values = constraints.boolean
        independent: constraints.Constraint = constraints.independent(values, 3)  # type: ignore[no-untyped-call]
        return independent

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw y of shape sample_shape + batch_shape + (C, H, W), without gradients."""
        return self._shaped(self.p.sample(self._drawn(sample_shape)))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw as `sample`, with gradients.

        Raises:
            NotImplementedError: samples of a discretised target have none.
        """
        if not self.has_rsample:
            raise NotImplementedError("a discretised target has no rsample; p.rsample draws what is rounded")
        return self._shaped(self.p.rsample(self._drawn(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log p(value | x), in nats, of shape value.shape[:-3], broadcast with batch_shape."""
        given = value.expand(_broadcast(value.shape, self.batch_shape + self.event_shape))
        if self.p.images == 1:
            given = given.unsqueeze(-4)
        log_prob = self.p.log_prob(given)
        return log_prob.squeeze(-1) if self.p.images == 1 else log_prob

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> TorchDistribution:
        """Return independent copies, as many as the shape has beyond the batch of images.

        Raises:
            ValueError: it does not end in that batch.
        """
        shape, own = torch.Size(batch_shape), self.batch_shape
        ends = shape[len(shape) - len(own) :]
        if len(ends) < len(own) or any(n not in (m, 1) for n, m in zip(own, ends, strict=True)):
            raise ValueError(f"cannot expand {tuple(own)} to {tuple(shape)}")
        return type(self)(self.p, shape)

    def _drawn(self, sample_shape: Sequence[int]) -> torch.Size:
        return torch.Size(sample_shape) + self._repeats

    def _shaped(self, y: Tensor) -> Tensor:
        return y.squeeze(-4) if self.p.images == 1 else y


def _broadcast(*shapes: torch.Size) -> torch.Size:
    shape: torch.Size = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]  # torch leaves it so
    return shape
