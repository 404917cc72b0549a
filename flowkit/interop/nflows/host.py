"""nflows' transforms as layers: the same direction, the same order of arguments."""

from __future__ import annotations

from typing import Any

from nflows.transforms import InputOutsideDomain
from torch import Tensor

from flowkit.interop.host import HostLayer


class NflowsLayer(HostLayer):
    """An `nflows.transforms.Transform` as a layer; see `HostLayer`."""

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Run the transform's forward.

        Raises:
            ValueError: values that the transform is not defined for.
        """
        try:
            return self._through(self.host, inputs, context)
        except InputOutsideDomain:
            raise self._outside("forward", inputs) from None

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Run the transform's inverse.

        Raises:
            ValueError: values that the transform's inverse is not defined for.
        """
        try:
            return self._through(self.host.inverse, inputs, context)
        except InputOutsideDomain:
            raise self._outside("inverse", inputs) from None

    def _outside(self, way: str, inputs: Tensor) -> ValueError:
        # nflows' own exception has no message.
        low, high = inputs.min().item(), inputs.max().item()
        name = f"{type(self.host).__name__}.{way}"
        return ValueError(f"nflows' {name}: values from {low:.3g} to {high:.3g} leave its domain")
