"""The failure of a check: an AssertionError that names the object and the demand that it does not meet."""

from __future__ import annotations


def demand(holds: bool, who: object, what: str) -> None:
    """Raise unless something holds.

    Args:
        holds: whether it does.
        who: a label, or an object, whose class is named.
        what: in what way it fails.

    Raises:
        AssertionError: it does not hold.
    """
    if not holds:
        raise AssertionError(f"{who if isinstance(who, str) else type(who).__name__}: {what}")
