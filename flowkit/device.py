"""Devices, and the precision of autocast."""

from __future__ import annotations

import torch

from flowkit.errors import FlowkitError


def usable(device: str) -> torch.device:
    """Return the device of this name, after a test computation on it.

    >>> usable("cpu")
    device(type='cpu')

    Raises:
        FlowkitError: it cannot be used.
    """
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        why = str(error).partition("\n")[0]
        raise FlowkitError(f'device "{device}" cannot be used: {why}') from None
    return torch.device(device)


def autocast_of(device: str) -> tuple[bool, torch.dtype]:
    """Return whether autocast is on for this type of device, and its dtype."""
    return torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)


def autocast_again(device: str, enabled: bool, dtype: torch.dtype) -> torch.autocast:
    """Restore autocast as `autocast_of` found it, for work that is repeated later.

    Without autocast's cache of weights: what it took in without gradients, some versions of torch hand out
    with them, and what a CUDA graph reads must not be freed.
    """
    return torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=False)
