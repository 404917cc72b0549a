"""One training step: forward and backward passes over all processes, and new weights if all is finite."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from flowkit.flow import ConditionalFlow, unchecked
from flowkit.layers.features import Features
from flowkit.losses import Objective
from flowkit.recipe import TrainOptions
from flowkit.training.captured import CapturedPasses
from flowkit.training.data_order import Batch, noise_of, seed_of
from flowkit.training.kept_patches import joined
from flowkit.training.processes import Processes
from flowkit.training.schedule import share_of_rate

FeatureMaps = Mapping[int, Features]


@dataclass(frozen=True)
class Outcome:
    """The result of a step, over all processes.

    Attributes:
        loss: the weighted sum of the losses.
        bits: bits per dimension.
        gradient: the norm of the gradient, before clipping.
        finite: whether all was finite, so that the weights were updated.
    """

    loss: float
    bits: float
    gradient: float
    finite: bool


class Stepper:
    """Takes training steps; its only state apart from the weights is the optimiser's.

    Args:
        model: to train; on the device of `processes`.
        options: of the recipe's `train` section.
        processes: all processes that take part.

    Raises:
        RegistryError, ShapeError: a loss that is unknown, or not for this model.
    """

    def __init__(self, model: ConditionalFlow, options: TrainOptions, processes: Processes) -> None:
        self.model = model
        self.options = options
        self.processes = processes
        self.objective = Objective(model, options.losses)
        encoder = list(model.encoder.parameters())
        others = set(encoder)
        rest = [p for p in model.parameters() if p not in others]
        rates = ((rest, options.lr), (encoder, options.encoder_lr or options.lr))
        groups = [{"params": part, "initial_lr": rate} for part, rate in rates if part]
        self.optimizer = torch.optim.AdamW(groups, lr=options.lr, weight_decay=options.weight_decay)
        self._captured: CapturedPasses | None = None
        if processes.world == 1 and processes.device.type == "cuda" and not options.kept_patches:
            self._captured = CapturedPasses(model, partial(self._pass, self.objective), options.seed)
        self._wrapped: nn.Module | None = None

    def take(
        self,
        step: int,
        passes: Sequence[Batch],
        indices: Sequence[range],
        features: Sequence[FeatureMaps] | None = None,
    ) -> Outcome:
        """Take the step after `step` steps: update the weights, or change nothing if anything is not finite.

        Args:
            step: steps taken before.
            passes: (images, targets), on the device, of each forward pass.
            indices: of their samples.
            features: of the images of each pass, if they are known.
        """
        # A user's layer may draw from torch: its random numbers depend only on the step and the process.
        torch.manual_seed(seed_of(self.options.seed, step, self.processes.rank))
        self.model.train()
        self._thaw(step)
        if not self.optimizer.state and not self._initialise(passes, indices, features):
            return Outcome(math.nan, math.nan, math.nan, finite=False)
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        objective = self._parallel()
        # The recorded passes add to the existing gradients.
        self.optimizer.zero_grad(set_to_none=self._captured is None)
        sums = torch.zeros(2, device=self.processes.device)
        for number, (batch, part) in enumerate(zip(passes, indices, strict=True)):
            last = number == len(passes) - 1
            with _without_exchange(objective, last):
                if self._captured:
                    sums += self._captured(batch, part)
                else:
                    known = features[number] if features else None
                    sums += self._pass(objective, batch, self._noise(part), known)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip))
        finite = math.isfinite(norm)
        if finite:
            share = share_of_rate(step, self.options)
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * share
            self.optimizer.step()
        else:
            for name, buffer in self.model.named_buffers():
                buffer.copy_(buffers[name])  # the forward pass may have moved running statistics
        loss_sum, bits_sum = self.processes.sums(sums.tolist())
        world = self.processes.world
        return Outcome(loss_sum / world, bits_sum / world, norm, finite)

    def slots(self) -> dict[str, Tensor]:
        """Return the optimiser's tensors, named by their weights."""
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.model.named_parameters()}
        return {
            f"{names[parameter]}/{slot}": value
            for parameter, state in self.optimizer.state.items()
            for slot, value in state.items()
        }

    def load(self, slots: dict[str, Tensor]) -> None:
        """Restore the optimiser's tensors.

        Raises:
            KeyError: a weight that the model does not have.
        """
        parameters = dict(self.model.named_parameters())
        self.optimizer.state.clear()
        for name, value in slots.items():
            weight, _, slot = name.rpartition("/")
            parameter = parameters[weight]
            place = "cpu" if slot == "step" else parameter.device
            self.optimizer.state[parameter][slot] = value.to(place)

    def _pass(
        self,
        objective: nn.Module,
        batch: Batch,
        noise: Sequence[torch.Generator],
        features: FeatureMaps | None = None,
    ) -> Tensor:
        """Run forward and backward; return this pass's part of loss and bits."""
        loss, bits = self._run(objective, batch, noise, features)
        torch.autograd.backward(loss / self.options.accumulate)
        return torch.stack([loss.detach(), bits]).float() / self.options.accumulate

    def _run(
        self,
        objective: nn.Module,
        batch: Batch,
        noise: Sequence[torch.Generator],
        features: FeatureMaps | None,
    ) -> tuple[Tensor, Tensor]:
        low = self.options.precision == "bfloat16"
        # the data are flowkit's own, and checking their values would make a GPU wait in every pass
        with unchecked(), torch.autocast(self.processes.device.type, torch.bfloat16, enabled=low):
            loss, bits = objective(*batch, noise, features)
        return loss, bits

    def _noise(self, part: Sequence[int]) -> list[torch.Generator]:
        return noise_of(part, self.options.seed, self.processes.device)

    @torch.no_grad()
    def _initialise(
        self, passes: Sequence[Batch], indices: Sequence[range], features: Sequence[FeatureMaps] | None
    ) -> bool:
        """Initialise layers by the samples of a whole first step; return true on success.

        Actnorms take their first values from data, over all processes; afterwards, these are weights like
        any other. A batch that is not finite would spoil them permanently: then they stay unchanged.
        """
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        image, target = (torch.cat(side) for side in zip(*passes, strict=True))
        everything = [index for part in indices for index in part]
        known = joined(features) if features else None
        loss, _ = self._run(self.objective, (image, target), self._noise(everything), known)
        wrong = 0.0 if bool(loss.isfinite()) else 1.0
        if sum(self.processes.sums([wrong])) == 0:
            return True
        self.model.load_state_dict(before)
        return False

    def _thaw(self, step: int) -> None:
        """Train the encoder from its first step on; before, its running statistics are frozen too."""
        moves = self.options.moves_encoder(step)
        self.model.encoder.train(moves)
        if next((p.requires_grad for p in self.model.encoder.parameters()), moves) != moves:
            self.model.encoder.requires_grad_(moves)
            self._wrapped = None  # wrapping determines which gradients are exchanged
            if self._captured:
                self._captured.forget()

    def _parallel(self) -> nn.Module:
        if self.processes.world == 1:
            return self.objective
        if self._wrapped is None:
            self._wrapped = DistributedDataParallel(self.objective)
        return self._wrapped


def _without_exchange(objective: nn.Module, last: bool) -> contextlib.AbstractContextManager[None]:
    """Switch off the sum of gradients over processes, except in the last pass of a step."""
    if isinstance(objective, DistributedDataParallel) and not last:
        return objective.no_sync()
    return contextlib.nullcontext()
