"""flowkit's super-resolution as an architecture of spandrel, by which chaiNNer and others load models.

spandrel hands over tensors without a file's metadata. The recipe is the shipped one whose network has tensors
of these names and shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.checkpoint import MODEL, fill
from flowkit.errors import CheckpointError, FlowkitError
from flowkit.flow import ConditionalFlow
from flowkit.images.picture import luma
from flowkit.recipe import build
from flowkit.recipe.find import shipped
from flowkit.targets import Continuous

ARCHITECTURE = "flowkit"


def install(registry: Any = None) -> None:
    """Make spandrel's `ModelLoader` load flowkit's super-resolution weights, at temperature 0.

    A model takes RGB images (1, 3, H, W) and gives (1, 3, scale H, scale W). One of grey images makes the
    luma, and the colours are enlarged by bicubic interpolation, as in `flowkit upscale`. Calls after the
    first change nothing.

    Args:
        registry: spandrel's registry of architectures; by default the main one, which every loader uses.

    Raises:
        FlowkitError: spandrel is not installed.
    """
    try:
        import spandrel
    except ImportError as error:
        raise FlowkitError(f"spandrel cannot be imported ({error}): pip install spandrel") from None

    class Flowkit(spandrel.Architecture[nn.Module]):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(id=ARCHITECTURE, name="flowkit", detect=is_flowkits)

        def load(self, state_dict: Mapping[str, Tensor]) -> Any:
            model = enlarger(state_dict)
            return spandrel.ImageModelDescriptor(
                model,
                model.state_dict(),  # spandrel loads it once more
                architecture=self,
                purpose="SR",
                tags=[model.name],
                supports_half=False,  # the inverses of a flow want float32
                supports_bfloat16=False,
                scale=model.flow.scale,
                input_channels=3,
                output_channels=3,
                size_requirements=spandrel.SizeRequirements(multiple_of=model.flow.multiple),
            )

    into = spandrel.MAIN_REGISTRY if registry is None else registry
    into.add(spandrel.ArchSupport.from_architecture(Flowkit()), ignore_duplicates=True)


class Enlarger(nn.Module):
    """RGB images, enlarged by a flow at temperature 0.

    Args:
        flow: with a continuous target and images of one channel or three.
        name: of its recipe.
    """

    def __init__(self, flow: ConditionalFlow, name: str) -> None:
        super().__init__()
        self.flow = flow
        self.name = name

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Enlarge (B, 3, H, W) in [0, 1] to (B, 3, scale H, scale W)."""
        image = image.clamp(0, 1)
        grey = torch.stack([luma(one) for one in image]) if self.flow.in_channels == 1 else image
        y: Tensor = self.flow(grey).sample(temperature=0)[0]
        if y.shape[1] == 3:
            return y.clamp(0, 1)
        plain = F.interpolate(image, scale_factor=self.flow.scale, mode="bicubic", align_corners=False)
        colours = torch.stack([one - luma(one) for one in plain])
        return torch.clamp(y + colours, 0, 1)


def is_flowkits(state_dict: Mapping[str, Any]) -> bool:
    """Return whether tensors of these names are those of a flowkit checkpoint."""
    return any(name.startswith(f"{MODEL}encoder.") for name in state_dict)


def enlarger(state_dict: Mapping[str, Tensor]) -> Enlarger:
    """Make the model of a checkpoint's tensors, by the shipped recipe that has such tensors.

    Raises:
        CheckpointError: no shipped recipe for super-resolution has them, or a weight cannot be used.
    """
    weights = {
        name.removeprefix(MODEL): value for name, value in state_dict.items() if name.startswith(MODEL)
    }
    wanted = {name: value.shape for name, value in weights.items()}
    for name in sorted(shipped(), key=lambda name: not name.startswith("super-resolve")):
        with torch.device("meta"):
            empty = build(name)
        if isinstance(empty.target, Continuous) and empty.in_channels in (1, 3) and _shapes(empty) == wanted:
            flow = build(name)
            fill(flow, weights, name)
            return Enlarger(flow.eval(), name)
    raise CheckpointError(
        "spandrel: the weights fit no recipe for super-resolution that ships with flowkit, and spandrel "
        "passes no recipe on; flowkit.load reads the file"
    )


def _shapes(flow: ConditionalFlow) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in flow.state_dict().items()}
