"""Sources of the compiled affine op."""

from __future__ import annotations

from pathlib import Path

CSRC = Path(__file__).parent.parent / "csrc"

# No -ffast-math: a library linked with it makes the whole process flush small numbers to zero.
CXX_FLAGS = ["-O3", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math"]
NVCC_FLAGS = ["-O3", "-DUSE_CUDA"]  # by which torch's headers declare what they have for CUDA


def cpp_sources() -> list[Path]:
    """Return the sources of the library that declares the op and computes it on the processor."""
    return [CSRC / "affine_cpu.cpp"]


def cuda_sources() -> list[Path]:
    """Return the sources of the library that adds the CUDA kernels."""
    return [CSRC / "affine_cuda.cu"]


def target_define(torch_version: str) -> str:
    """Return the flag that names the oldest torch on which the library runs, not newer than this one.

    >>> target_define("2.13.0+cpu"), target_define("2.11.1")
    ('-DTORCH_TARGET_VERSION=0x020b000000000000', '-DTORCH_TARGET_VERSION=0x020b000000000000')
    """
    major, minor = (int(part) for part in torch_version.split(".")[:2])
    major, minor = min((major, minor), (2, 11))
    return f"-DTORCH_TARGET_VERSION=0x{major:02x}{minor:02x}000000000000"
