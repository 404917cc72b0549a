"""Search for compilers before they are called, so that a missing one gives one clear line."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import torch

# 8.x cards run 8.0's code, later ones than 9.0 compile the PTX when they load it.
CUDA_ARCHITECTURES = "7.5;8.0;9.0+PTX"
USUAL_CUDA = Path("/usr/local/cuda")


def search_path() -> str:
    """Return PATH and the folder of this Python, where ninja may be in an environment not activated."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])


def compiler() -> str | None:
    """Return the C++ compiler that `torch.utils.cpp_extension` will call: $CXX, or c++."""
    words = os.environ.get("CXX", "c++").split()
    return shutil.which(words[0], path=search_path()) if words else None


def ninja() -> str | None:
    """Return the path of ninja."""
    return shutil.which("ninja", path=search_path())


def nvcc() -> str | None:
    """Find the CUDA compiler: in $CUDA_HOME, on PATH, in the usual place, or in a wheel."""
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")):
        if home:
            return shutil.which("nvcc", path=str(Path(home, "bin")))
    places = (search_path(), str(USUAL_CUDA / "bin"), *(str(home / "bin") for home in _wheels()))
    return next(filter(None, (shutil.which("nvcc", path=place) for place in places)), None)


def _wheels() -> list[Path]:
    """Return the folder of NVIDIA's wheels for torch's CUDA, which share one from version 13 on."""
    spec = importlib.util.find_spec("nvidia")
    major = str(torch.version.cuda).partition(".")[0]
    return [Path(path, f"cu{major}") for path in (spec and spec.submodule_search_locations) or ()]


def cuda_home() -> Path | None:
    """Return the folder of nvcc's toolkit, as nvcc prints it; nvcc on PATH may be a link or a script."""
    command = nvcc()
    if command is None:
        return None
    words = [str(Path(command).resolve()), "--dryrun", "-x", "cu", "-c", os.devnull]
    try:
        told = subprocess.run(words, capture_output=True, text=True, timeout=60).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"^#\$ _HERE_=(.+)/bin$", told, re.MULTILINE)
    return Path(found[1]) if found and Path(found[1], "bin", "nvcc").is_file() else None


def nameless_cudart(home: Path) -> Path | None:
    """Return CUDA's runtime if a linker would not find it: wheels lack the name without a version."""
    libraries = [path for name in ("lib64", "lib") for path in sorted((home / name).glob("libcudart.so*"))]
    return None if any(path.name == "libcudart.so" for path in libraries) else next(iter(libraries), None)


def cuda_architectures() -> str:
    """Return the CUDA architectures: $TORCH_CUDA_ARCH_LIST, or a list that depends on no present card."""
    return os.environ.get("TORCH_CUDA_ARCH_LIST") or CUDA_ARCHITECTURES


def missing(kind: str) -> str | None:
    """Return why the library for "cpu" or "cuda" cannot be built here, or None if it can.

    A GPU is not asked for: a library may be built on one machine and used on another.
    """
    if kind == "cuda" and torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    if importlib.util.find_spec("setuptools") is None:
        return "no setuptools: pip install setuptools"
    if ninja() is None:
        return "no ninja on PATH: pip install ninja"
    if compiler() is None:
        named = os.environ.get("CXX")
        return f'no C++ compiler: CXX is "{named}"' if named else "no C++ compiler (c++) on PATH"
    return _missing_cuda() if kind == "cuda" else None


def _missing_cuda() -> str | None:
    command = nvcc()
    wanted = str(torch.version.cuda)
    major = wanted.partition(".")[0]
    if command is None:
        if home := os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH"):
            return f"no nvcc in {Path(home, 'bin')}"
        wheels = f": pip install 'cuda-toolkit[cccl,crt,nvcc,nvvm]=={wanted}.*'" if int(major) >= 13 else ""
        return f"no nvcc on PATH{wheels}"
    found = cuda_version(command)
    # Within one major version CUDA's runtime is compatible; across them a library does not even load.
    if found.partition(".")[0] != major:
        return f"{command} is of CUDA {found}, torch of CUDA {wanted}"
    return None


def cuda_version(command: str) -> str:
    """Return nvcc's version, such as "13.0", or "unknown" if nvcc does not run."""
    try:
        told = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    found = re.search(r"release (\d+\.\d+)", told.stdout)
    return found[1] if found else "unknown"
