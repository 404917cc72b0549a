"""A baseline for samples: Stochastic Segmentation Networks, low-rank normal log-odds on the flow's encoder.

Monteiro et al., NeurIPS 2020, arXiv:2006.06015. The log-odds of all pixels of a page are jointly normal,

    eta = mu + P a + sigma b,    a ~ N(0, I) of `rank` factors, b ~ N(0, I) of every pixel,

and mu, P and log sigma are computed from the features by 1x1 convolutions. It is the simplest model with
dependent pixels: each factor is one number for the whole page.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.checkpoint import MODEL, TRAIN_PAGES, locate, pack, read_checkpoint, write_checkpoint
from flowkit.encoders import Encoder
from flowkit.errors import CheckpointError, FlowkitError, ShapeError
from flowkit.recipe import build, read_recipe_text

STRIDE = 2
"""Pixels along a cell of the features."""

RANK = 10
DRAWS = 20
"""Number of draws of the log-odds in the loss."""

LEAST_VARIANCE = 1e-5

_RANK = "ssn_rank"  # metadata
_START = -2.0  # log variance of a pixel's own noise before training, with factors near 0
_CLIP = 1.0  # norm of the gradient, of a loss in nats per pixel


class Odds(NamedTuple):
    """The distribution of log-odds: mean and deviation (B, 1, H, W), factors (B, rank, H, W)."""

    mean: Tensor
    factors: Tensor
    deviation: Tensor


class LowRankHead(nn.Module):
    """Two 1x1 convolutions from features (B, channels, H / 2, W / 2) to the distribution of log-odds.

    Args:
        channels: of the features.
        rank: number of factors.
        hidden: channels between the two.
    """

    def __init__(self, channels: int, *, rank: int = RANK, hidden: int = 64) -> None:
        super().__init__()
        self.rank = rank
        last, cell = nn.Conv2d(hidden, (2 + rank) * STRIDE**2, 1), STRIDE**2
        with torch.no_grad():  # training begins near plain cross-entropy
            last.weight[cell:] *= 0.1
            assert last.bias is not None
            last.bias[cell:] = 0
            last.bias[cell : 2 * cell] = _START
        self.body = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), last)

    def forward(self, features: Tensor) -> Odds:
        """Return the distribution of every pixel's log-odds."""
        mean, log_variance, factors = torch.split(
            F.pixel_shuffle(self.body(features), STRIDE), [1, 1, self.rank], dim=1
        )
        return Odds(mean, factors, (log_variance.clamp(max=8).exp() + LEAST_VARIANCE).sqrt())


def negative_log_likelihood(odds: Odds, truth: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """Return -log mean_k prod Bernoulli(y; sigmoid(eta_k)) of truths (B, 1, H, W), in nats per pixel."""
    batch, rank = odds.factors.shape[:2]
    common = torch.randn(batch, draws, rank, generator=generator)
    own = torch.randn(batch, draws, *truth.shape[2:], generator=generator)
    eta = odds.mean + torch.einsum("bkr,brhw->bkhw", common, odds.factors) + odds.deviation * own
    log_p = -F.binary_cross_entropy_with_logits(eta, truth.expand_as(eta), reduction="none").sum((2, 3))
    return (math.log(draws) - log_p.logsumexp(1)).mean() / truth[0].numel()


def train_ssn(
    encoder: Encoder,
    pairs: Iterable[tuple[Tensor, Tensor]],
    steps: int,
    *,
    batch: int = 2,
    rate: float = 1e-3,
    rank: int = RANK,
    draws: int = DRAWS,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> LowRankHead:
    """Train a head on an encoder, by Adam with a rate that falls to 0 by a cosine.

    Those parameters of the encoder that have `requires_grad` are trained as well, in place; if none has, the
    encoder is in eval mode.

    Args:
        encoder: of any number of channels, with features at stride 2 and scale 1.
        pairs: all training samples: (image, truth), (C, H, W) in [0, 1] and (1, H, W) of 0 and 1; of equal
            size, unless `batch` is 1.
        steps: number of steps.
        batch: number of pairs in a step.
        rate: the highest learning rate, reached after a tenth of the steps.
        rank: number of factors.
        draws: number of draws of the log-odds in the loss.
        seed: of weights and draws.
        report: called with the number of each step and its loss, in nats per pixel.

    Raises:
        ShapeError: the encoder has no such features.
        FlowkitError: there are too few pairs, or the loss is not finite.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = LowRankHead(_channels(encoder), rank=rank)
    trained = [p for p in encoder.parameters() if p.requires_grad]
    encoder.train(bool(trained))
    parameters = [*head.parameters(), *trained]
    optimizer = torch.optim.Adam(parameters, rate)
    warm = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: min((n + 1) / warm, 0.5 * (1 + math.cos(math.pi * n / steps)))
    )
    given = iter(pairs)
    for step in range(steps):
        taken = list(itertools.islice(given, batch))
        if len(taken) < batch:
            raise FlowkitError(f"{steps} steps of {batch} pairs: the pairs ended in step {step + 1}")
        images, truths = (torch.stack(tensors) for tensors in zip(*taken, strict=True))
        with torch.set_grad_enabled(bool(trained)):
            features = encoder(images)[STRIDE]
        loss = negative_log_likelihood(head(features), truths.float(), draws, generator)
        if not loss.isfinite():
            raise FlowkitError(
                f"the loss is not finite in step {step + 1}; expected a lower rate than {rate:g}"
            )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, _CLIP)
        optimizer.step()
        schedule.step()
        if report is not None:
            report(step + 1, loss.item())
    encoder.eval()
    return head.eval()


class StochasticSegmentation(nn.Module):
    """An encoder and its head: from images (B, C, H, W) to the distribution of their log-odds."""

    def __init__(self, encoder: Encoder, head: LowRankHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, image: Tensor) -> Odds:
        """Return the distribution of every pixel's log-odds."""
        odds: Odds = self.head(self.encoder(image)[STRIDE])
        return odds


def save_ssn(
    path: str | os.PathLike[str],
    encoder: Encoder,
    head: LowRankHead,
    *,
    recipe: str,
    pages: Iterable[str] = (),
) -> None:
    """Write a file for `load_ssn` and `flowkit evaluate --ssn`.

    Args:
        path: a safetensors file.
        encoder: of the recipe.
        head: trained on the encoder.
        recipe: the text of a recipe with this encoder, such as the `recipe` of a flow on it.
        pages: fingerprints of the training pages.

    Raises:
        OutputError: the file cannot be written.
    """
    metadata = {"recipe": recipe, _RANK: str(head.rank), TRAIN_PAGES: json.dumps(sorted(pages))}
    write_checkpoint(path, pack(StochasticSegmentation(encoder, head).state_dict()), metadata)


def load_ssn(path: str | os.PathLike[str]) -> StochasticSegmentation:
    """Load a file of `save_ssn`, in eval mode.

    Raises:
        CheckpointError: there is no such file, or it holds another kind of model.
    """
    file = locate(path)
    tensors, metadata = read_checkpoint(file, prefix=MODEL)
    if _RANK not in metadata or "recipe" not in metadata:
        raise CheckpointError(f"{file}: expected a Stochastic Segmentation Network, as `save_ssn` writes it")
    encoder = build(read_recipe_text(metadata["recipe"], origin=str(file))).encoder
    model = StochasticSegmentation(encoder, LowRankHead(_channels(encoder), rank=int(metadata[_RANK])))
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise CheckpointError(f"{file}: does not fit its own recipe: {error}") from None
    return model.eval()


def _channels(encoder: Encoder) -> int:
    if encoder.scale != 1:
        raise ShapeError(f"expected an encoder of scale 1, got {encoder.scale}")
    return encoder.provide(STRIDE).channels
