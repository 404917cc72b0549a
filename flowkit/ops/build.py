"""Compilation of the affine op's libraries into the cache, by `torch.utils.cpp_extension`.

The library "cpu" declares the op and computes it on the processor; "cuda" adds the CUDA kernels to it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from flowkit.errors import KernelError
from flowkit.ops import build_cache, build_tools, sources

KINDS = ("cpu", "cuda")

# In a process of its own: cpp_extension loads what it built, writes to the terminal, and reads its settings
# from the environment; and a compiler that crashes does not end this process.
COMPILE = """
import json, sys
from torch.utils.cpp_extension import load
load(**json.loads(sys.argv[1]), is_python_module=False, verbose=True)
"""


@dataclass(frozen=True)
class Plan:
    """The sources and flags of one library."""

    kind: str
    sources: Sequence[Path]
    headers: Sequence[Path] = ()
    """Included headers: no option, but part of the key."""
    cxx_flags: Sequence[str] = ()
    nvcc_flags: Sequence[str] = ()
    target: str = ""
    """The flag that names the oldest torch on which the library runs."""

    @property
    def made_from(self) -> str:
        """Return a digest of sources, headers and flags: the same on every machine and for every torch."""
        files = [part for path in (*self.sources, *self.headers) for part in (path.name, path.read_bytes())]
        return build_cache.digest(self.kind, *files, "", *self.cxx_flags, "", *self.nvcc_flags)

    @property
    def name(self) -> str:
        """Return the name in the cache, with a digest of all that a compiled file depends on."""
        machine = (self.target, torch.__version__, sys.platform, platform.machine(), *platform.libc_ver())
        cuda = (str(torch.version.cuda), build_tools.cuda_architectures()) if self.kind == "cuda" else ()
        return f"affine_{self.kind}-{build_cache.digest(self.made_from, *machine, *cuda)}"

    @property
    def module(self) -> str:
        """Return the name in the package; by torch's stable ABI, the library survives an upgrade of torch."""
        return f"affine_{self.kind}_{self.made_from}"

    @property
    def log(self) -> Path:
        """Return the path of the compilers' output of the last build."""
        return build_cache.folder() / f"build-{self.kind}.log"


def has_sources(kind: str) -> bool:
    """Return true if this version of flowkit has kernels for the CPU ("cpu") or for CUDA ("cuda")."""
    return bool(sources.cpp_sources() if kind == "cpu" else sources.cuda_sources())


def plan(kind: str) -> Plan:
    """Return the plan of the library "cpu" or "cuda" in this version of flowkit.

    Raises:
        KernelError: there are no sources for it.
    """
    files = sources.cpp_sources() if kind == "cpu" else sources.cuda_sources()
    if not files:
        raise KernelError(f"this version of flowkit has no kernels for {kind}")
    headers = sorted(path for path in files[0].parent.iterdir() if path.suffix in (".h", ".cuh"))
    target = sources.target_define(torch.__version__)
    return Plan(kind, files, headers, sources.CXX_FLAGS, sources.NVCC_FLAGS, target)


def prebuilt(plan: Plan) -> Path | None:
    """Return the library that an installation with FLOWKIT_BUILD_EXT=1 compiled from these sources."""
    return next(iter(plan.sources[0].parent.glob(f"{plan.module}*.so")), None)


def build(plan: Plan) -> Path:
    """Compile the library and put it into the cache.

    Raises:
        KernelError: a tool is missing, the cache cannot be written, or the compilation fails.
    """
    if why := build_tools.missing(plan.kind):
        raise KernelError(why)
    with build_cache.build_folder() as private:
        arguments = {
            "name": f"affine_{plan.kind}",
            "sources": [str(path) for path in plan.sources],
            "extra_cflags": [*plan.cxx_flags, plan.target],
            "extra_cuda_cflags": [*plan.nvcc_flags, plan.target],
            "build_directory": str(private),
            "with_cuda": plan.kind == "cuda",
        }
        done = subprocess.run(
            [sys.executable, "-c", COMPILE, json.dumps(arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env={**os.environ, **environment(plan.kind, private)},
        )
        library = private / f"affine_{plan.kind}.so"
        try:
            plan.log.write_text(done.stdout)
            if done.returncode == 0 and library.is_file():
                return build_cache.store(library, plan.name)
        except OSError as error:
            raise KernelError(f"cache folder {build_cache.folder()}: {error.strerror or error}") from None
    raise KernelError(f"compilation failed{_first_error(done.stdout)}; all of it: {plan.log}")


def environment(kind: str, scratch: Path) -> dict[str, str]:
    """Return the environment variables by which `torch.utils.cpp_extension` finds its tools.

    Args:
        kind: "cpu" or "cuda".
        scratch: an empty folder that is there until the build ends.
    """
    told = {
        "PATH": build_tools.search_path(),
        "TORCH_CUDA_ARCH_LIST": build_tools.cuda_architectures(),
        "CUDA_VISIBLE_DEVICES": "",  # no card is needed, and none may decide what is built
    }
    home = build_tools.cuda_home() if kind == "cuda" else None
    if home is not None:
        told["CUDA_HOME"] = str(home)
        if library := build_tools.nameless_cudart(home):
            (scratch / "libcudart.so").symlink_to(library)
            others = os.environ.get("LIBRARY_PATH")
            told["LIBRARY_PATH"] = os.pathsep.join([str(scratch), *([others] if others else [])])
    return told


def _first_error(output: str) -> str:
    # a linker says what is missing in its own words, before the compiler that called it speaks of an error
    words = r"^.*(?:\berror\b|cannot find|undefined reference).*$"
    found = re.search(words, output, re.MULTILINE | re.IGNORECASE)
    return f" ({found[0].strip()[:200]})" if found else ""
