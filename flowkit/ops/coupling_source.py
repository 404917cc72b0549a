"""Sources and flags of the coupling's library for processors, for setup.py too: no torch is imported."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from flowkit.ops.build_cache import digest

CSRC = Path(__file__).parent.parent / "csrc"
SOURCE = CSRC / "coupling_cpu.cpp"
FLAGS = (
    *("-std=c++17", "-O3", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"),
    "-ffp-contract=off",  # else a loop's last cells are rounded in another way than those before them
)


def module() -> str:
    """Return the name in the package, with a digest of sources and flags."""
    headers = sorted(
        path for path in CSRC.glob("*.h") if path.name.startswith(("coupling_", "affine_math", "normals"))
    )
    files = [part for path in (SOURCE, *headers) for part in (path.name, path.read_bytes())]
    return f"coupling_cpu_{digest(*files, '', *FLAGS)}"


def prebuilt() -> Path | None:
    """Return the library that the installation compiled from these sources."""
    return next(iter(CSRC.glob(f"{module()}*.so")), None)


def cached() -> str:
    """Return the name in the cache, with a digest of all that a compiled file depends on."""
    return f"coupling_cpu-{digest(module(), sys.platform, platform.machine(), *platform.libc_ver())}"
