"""Compilers, looked for before they are called: their absence is one line, not a screen of messages."""

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
    """PATH, and the folder of this Python: a `pip install ninja` is found in an environment not activated."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])


def compiler() -> str | None:
    """The C++ compiler that `torch.utils.cpp_extension` will call: $CXX, or c++."""
    words = os.environ.get("CXX", "c++").split()
    return shutil.which(words[0], path=search_path()) if words else None


def ninja() -> str | None:
    """The build tool that it calls."""
    return shutil.which("ninja", path=search_path())


def nvcc() -> str | None:
    """The CUDA compiler that it will call: of $CUDA_HOME, on PATH, in the usual place, or from a wheel."""
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")):
        if home:
            return shutil.which("nvcc", path=str(Path(home, "bin")))
    places = (search_path(), str(USUAL_CUDA / "bin"), *(str(home / "bin") for home in _wheels()))
    return next(filter(None, (shutil.which("nvcc", path=place) for place in places)), None)


def _wheels() -> list[Path]:
    """Where NVIDIA's wheels of torch's CUDA lie, which share a folder from 13 on."""
    spec = importlib.util.find_spec("nvidia")
    major = str(torch.version.cuda).partition(".")[0]
    return [Path(path, f"cu{major}") for path in (spec and spec.submodule_search_locations) or ()]


def cuda_home() -> Path | None:
    """The folder of nvcc's toolkit, by its own word: what is on PATH may be a link to it, or a script."""
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
    """CUDA's runtime, where a linker would not find it: wheels leave out the name without a version."""
    libraries = [path for name in ("lib64", "lib") for path in sorted((home / name).glob("libcudart.so*"))]
    return None if any(path.name == "libcudart.so" for path in libraries) else next(iter(libraries), None)


def cuda_architectures() -> str:
    """What CUDA code is compiled for: $TORCH_CUDA_ARCH_LIST, or a list that no present card decides."""
    return os.environ.get("TORCH_CUDA_ARCH_LIST") or CUDA_ARCHITECTURES


def missing(kind: str) -> str | None:
    """Why the library for "cpu" or "cuda" cannot be built here, in a few words; None where it can.

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
    """Such as "13.0", or "unknown" where nvcc itself does not run."""
    try:
        told = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    found = re.search(r"release (\d+\.\d+)", told.stdout)
    return found[1] if found else "unknown"
