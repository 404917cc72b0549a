"""The processes that `torchrun` started, and their communication."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from flowkit.device import usable
from flowkit.errors import FlowkitError

# Old process groups are kept alive: gloo's threads may still be releasing tensors, for which they need the
# interpreter's lock, and freeing a group waits for its threads while it holds that lock.
_left: list[object] = []


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number; process 0 writes the files.
        world: the number of processes.
        device: the device on which it computes.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Return true for the process that writes and prints."""
        return self.rank == 0

    def sums(self, values: Sequence[float]) -> list[float]:
        """Sum each value over all processes, in float64; every process gets the sums."""
        if self.world == 1:
            return list(values)
        # MPS and similar devices have no float64, and no distributed training either.
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor]

    def wait(self) -> None:
        """Wait until all processes have arrived here."""
        self.sums([0.0])


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Return the processes that torchrun started, by the environment, or this one alone.

    "cuda" is the GPU of this process's local rank. An existing process group is used, and not
    closed afterwards.

    Raises:
        FlowkitError: the device cannot be used, or the processes do not find one another.
    """
    ours = not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1
    where = usable(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" else device)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    if ours:
        try:
            dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
        except (RuntimeError, ValueError) as error:
            why = str(error).partition("\n")[0]
            raise FlowkitError(f"the processes of torchrun do not find one another: {why}") from None
    try:
        if dist.is_initialized():
            yield Processes(dist.get_rank(), dist.get_world_size(), where)
        else:
            yield Processes(0, 1, where)
    finally:
        if ours:
            _left.append(dist.group.WORLD)
            dist.destroy_process_group()
