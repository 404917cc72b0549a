"""Where tensors are computed."""

from __future__ import annotations

import torch

from flowkit.errors import FlowkitError


def usable(device: str) -> torch.device:
    """The device of this name, on which something has been computed.

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
