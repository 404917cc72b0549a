"""Maximum-likelihood training: the loop, its state on disk, schedules, averaged weights."""

from flowkit.training.loop import train

__all__ = ["train"]
