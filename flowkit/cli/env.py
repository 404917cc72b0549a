"""`flowkit env`: versions and devices of this installation, for a bug report."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from pathlib import Path

import torch

import flowkit
from flowkit.checkpoint import shipped_weights
from flowkit.ops import build_cache, build_tools, coupling_library, kernels
from flowkit.recipe import shipped

PACKAGES = ("torch", "nflows", "normflows", "einops", "numpy", "pillow", "pyyaml", "safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one fact a line."""
    facts = {"flowkit": f"{flowkit.__version__} in {Path(flowkit.__file__).parent}"}
    facts |= {"python": platform.python_version(), "platform": platform.platform()}
    facts |= {package: importlib.metadata.version(package) for package in PACKAGES}
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    facts |= {"cuda devices": ", ".join(devices) or "none", "cpu threads": str(torch.get_num_threads())}
    facts |= {"recipes": ", ".join(shipped()), "weights": ", ".join(shipped_weights()) or "none"}
    facts |= {f"kernels, {kind}": value for kind, value in kernels.status().items()}
    facts |= {"couplings, cpu": coupling_library.status()}
    facts |= {"kernel cache": str(build_cache.folder())}
    facts |= {"compilers": ", ".join(f"{name} {path or 'not found'}" for name, path in _tools().items())}
    for name, value in facts.items():
        print(f"{name:<13} {value}")
    return 0


def _tools() -> dict[str, str | None]:
    return {"c++": build_tools.compiler(), "nvcc": build_tools.nvcc(), "ninja": build_tools.ninja()}
