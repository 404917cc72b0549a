"""Export of models to files that run without flowkit: PyTorch's `.pt2` and `.onnx`."""

from flowkit.export.computations import WHATS, What
from flowkit.export.files import export

__all__ = ["WHATS", "What", "export"]
