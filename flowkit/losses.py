"""Losses, by name: the negative log-likelihood, and further losses of the image at temperature 0."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit import registry
from flowkit.errors import ShapeError
from flowkit.flow import ConditionalDistribution, ConditionalFlow
from flowkit.layers.features import Features
from flowkit.registry import register
from flowkit.targets import Binary, Noise, Target


class Fit:
    """The fit of a model to a batch; values that several losses read are computed once.

    Args:
        p: p(y | x) of the images.
        y: the truth (B, C, H, W).
        noise: where the dequantisation noise comes from: one generator for each sample, or for all.
    """

    def __init__(
        self,
        p: ConditionalDistribution,
        y: Tensor,
        noise: Noise = None,
    ) -> None:
        self.p = p
        self.y = y
        self.noise = noise
        self.target: Target = p.flow.target

    @functools.cached_property
    def bits(self) -> Tensor:
        """Return the bits per dimension (B,)."""
        return self.p.bits_per_dim(self.y, generator=self.noise)

    @functools.cached_property
    def mode(self) -> Tensor:
        """Return the v of latents 0 (B, C, H, W), the image at temperature 0, with gradients."""
        _ = self.bits  # the pass that initialises actnorms from data comes first
        return self.p.rsample(temperature=0)[0]


class Loss:
    """The base class of losses, functions from a `Fit` to (B,).

    Args:
        target: of the model.

    Raises:
        ShapeError: a target that the loss is not for.
    """

    kind = "loss"

    def __init__(self, target: Target) -> None:
        self.target = target

    def __call__(self, fit: Fit) -> Tensor:
        """Return the loss of every sample of a batch, (B,)."""
        raise NotImplementedError


@register("nll")
class NegativeLogLikelihood(Loss):
    """-log2 p(y | x) / (C H W): bits per dimension. The only loss that the method needs."""

    def __call__(self, fit: Fit) -> Tensor:
        """Return the bits per dimension (B,)."""
        return fit.bits


@register("l1")
class Absolute(Loss):
    """mean |v - e(y)|: the image at temperature 0 against the truth, e(y) being the middle of y's noise.

    In units of v: for continuous targets, of values in [0, 1].
    """

    def __call__(self, fit: Fit) -> Tensor:
        """Return the mean over the pixels (B,)."""
        return (fit.mode - self.target.embed(fit.y)).abs().flatten(1).mean(1)


@register("consistency")
class Consistency(Loss):
    """mean |D(v - e(y))|, D the antialiased bicubic reduction by the model's scale.

    How far the image at temperature 0, made small again, is from the image that it was made of (where that
    is y, reduced, as in training). In units of v: of values in [0, 1].
    """

    def __call__(self, fit: Fit) -> Tensor:
        """Return the mean over the pixels at low resolution (B,)."""
        error, share = fit.mode - self.target.embed(fit.y), 1 / fit.p.flow.scale
        small = F.interpolate(error, scale_factor=share, mode="bicubic", antialias=True)
        return small.abs().flatten(1).mean(1)


@register("cross_entropy")
class CrossEntropy(Loss):
    """mean log2(1 + exp(-s k v)): binary cross-entropy, in bits per pixel, of the image at temperature 0.

    s = +-1 is the pixel, and k v the log-odds of ink for Gaussians of the noise's mean m and variance c at
    either side of 0, k = 2 m / c. A pixel in its place, |v| = m, costs next to nothing, so that the loss
    pulls on wrong and doubtful pixels and leaves the others to the likelihood.

    Raises:
        ShapeError: the target is not binary.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        if not isinstance(target, Binary):
            raise ShapeError('loss "cross_entropy" is for binary targets only')
        mean, variance = (1.0, Binary.SIGMA**2) if target.noise == "normal" else (0.5, 1 / 12)
        self.slope = 2 * mean / variance

    def __call__(self, fit: Fit) -> Tensor:
        """Return the mean over the pixels (B,)."""
        sign = torch.where(fit.y > 0.5, 1.0, -1.0).to(fit.mode.dtype)
        return F.softplus(-self.slope * sign * fit.mode).flatten(1).mean(1) / math.log(2)


@register("skeleton")
class Skeleton(Loss):
    """1 - clDice of the image at temperature 0: how much of the centrelines is lost, or made up, in [0, 1].

    Shit et al., "clDice" (CVPR 2021), equations 1 and 2: with the ink P, the truth T and their soft skeletons
    s(.), sensitivity = |s(T) P| / |s(T)| and precision = |s(P) T| / |s(P)|; clDice is their harmonic mean.
    A gap across a stroke takes away as much of it as the gap is long, a bridge between two strokes adds its
    own line, and a contour that is a pixel off costs next to nothing: the likelihood sees to contours.

    P = sigmoid(4 v / m), m being the mean of the noise: 0.98 for ink in its place, and not as steep as the
    log-odds are, so that a gap that the model is sure of still has a gradient.

    Raises:
        ShapeError: the target is not binary.
    """

    STEPS = 12
    """Number of thinning steps: strokes up to 2 STEPS + 1 pixels wide become lines."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        if not isinstance(target, Binary):
            raise ShapeError('loss "skeleton" is for binary targets only')
        self.slope = 4 / (1.0 if target.noise == "normal" else 0.5)

    def __call__(self, fit: Fit) -> Tensor:
        """Return the loss over all pixels of a sample (B,)."""
        ink, truth = torch.sigmoid(self.slope * fit.mode), (fit.y > 0.5).to(fit.mode.dtype)
        with torch.no_grad():
            line = soft_skeleton(truth, self.STEPS)
        sensitivity = _share(line, ink)
        precision = _share(soft_skeleton(ink, self.STEPS), truth)
        return 1 - 2 * sensitivity * precision / (sensitivity + precision)


def soft_skeleton(ink: Tensor, steps: int) -> Tensor:
    """Return the middle lines of strokes, with gradients: (B, C, H, W) of values in [0, 1].

    The morphological skeleton, the union over k of what an opening takes away from the k times eroded image
    (Lantuejoul), in grey: minima and maxima for erosions and dilations, s + d - s d for the union (Shit et
    al., CVPR 2021, algorithm 1). Erosions are by a cross, dilations by a square, so that lines that run
    aslant are kept. What is outside the image neither erodes nor dilates.
    """
    eroded = _erode(ink)
    skeleton = ink - torch.minimum(ink, _dilate(eroded))
    for _ in range(steps):
        ink, eroded = eroded, _erode(eroded)
        ridge = ink - torch.minimum(ink, _dilate(eroded))
        skeleton = skeleton + ridge - skeleton * ridge
    return skeleton


def _erode(ink: Tensor) -> Tensor:
    down = F.max_pool2d(-ink, (3, 1), stride=1, padding=(1, 0))
    across = F.max_pool2d(-ink, (1, 3), stride=1, padding=(0, 1))
    return -torch.maximum(down, across)


def _dilate(ink: Tensor) -> Tensor:
    return F.max_pool2d(ink, 3, stride=1, padding=1)


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """Return the share of `part` that lies in `whole` (B,); one pixel is added, for images without ink."""
    inside, all_of_it = (part * whole).flatten(1).sum(1), part.flatten(1).sum(1)
    return (inside + 1) / (all_of_it + 1)


class Objective(nn.Module):
    """The training objective of images and truths, a module so that it can be wrapped for DDP.

    Args:
        model: to train.
        weights: of the losses, by name.

    Raises:
        RegistryError: no such loss.
        ShapeError: a loss that is not for this model's target.
    """

    def __init__(self, model: ConditionalFlow, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.model = model
        made: dict[str, Callable[[Fit], Tensor]] = {
            name: registry.get("loss", name)(model.target) for name in weights
        }
        self.terms = [(made[name], weight) for name, weight in weights.items() if weight]

    def forward(
        self,
        image: Tensor,
        y: Tensor,
        noise: Sequence[torch.Generator] | None = None,
        features: Mapping[int, Features] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the losses, and the bits per dimension: means over the batch."""
        fit = Fit(self.model(image, features), y, noise)
        total = sum((weight * term(fit).mean() for term, weight in self.terms), fit.bits.new_zeros(()))
        return total, fit.bits.detach().mean()
