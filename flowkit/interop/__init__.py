"""Layers to and from other flow libraries. Importing this package registers theirs."""

from flowkit.interop import nflows, normflows

__all__ = ["nflows", "normflows"]
