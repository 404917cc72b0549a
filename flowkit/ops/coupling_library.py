"""The library of couplings and of normal numbers for processors, compiled in advance.

It is plain C++ without torch. An installation compiles it where there is a compiler, and so does `flowkit
build-kernels`. The environment variable FLOWKIT_KERNELS decides as for the affine op on processors, see
`flowkit.ops.kernels`.
"""

from __future__ import annotations

import ctypes
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flowkit.errors import KernelError
from flowkit.ops import build_cache, build_tools, coupling_source
from flowkit.ops.kernels import policy, warn

Invert = Callable[[ctypes.Structure, int], int]
"""Computes a job on a level of instructions, or on the best below it; returns 0."""

Normals = Callable[[int, int, int, int, int, int], None]
"""Makes normal numbers: `flowkit_normals` of coupling_cpu.cpp, with addresses."""

LEVELS = ("plain", "AVX2", "AVX-512", "AVX-512 BF16", "AMX")


class Found(NamedTuple):
    """The result of the search for the library."""

    path: Path | None
    invert: Invert | None
    level: int = 0
    """The best of `LEVELS` that this processor has."""
    normals: Normals | None = None


_found: Found | None = None
_lock = threading.Lock()


def library() -> Found:
    """Return the library; the first call loads it.

    Raises:
        KernelError: FLOWKIT_KERNELS is `require`, and there is none.
        FlowkitError: FLOWKIT_KERNELS has no valid value.
    """
    global _found
    with _lock:
        if _found is None:
            chosen = policy()
            try:
                _found = Found(None, None) if chosen == "off" else _search(may_build=chosen == "require")
            except KernelError as error:
                if chosen == "require":
                    raise KernelError(
                        f"FLOWKIT_KERNELS=require, but the coupling's library is unavailable ({error})"
                    ) from None
                warn(str(error))
                _found = Found(None, None)
        return _found


def status() -> str:
    """Return what computes couplings on processors, and why.

    Raises:
        KernelError: FLOWKIT_KERNELS is `require`, and there is no library.
        FlowkitError: FLOWKIT_KERNELS has no valid value.
    """
    if policy() == "off":
        return "pure PyTorch (FLOWKIT_KERNELS=off)"
    found = library()
    if found.path is None:
        return "pure PyTorch (nothing built; `flowkit build-kernels` does)"
    return f"compiled, {LEVELS[found.level]}, {found.path}"


def find() -> Path | None:
    """Return the library of the package, or that of the cache, if there is one.

    Raises:
        KernelError: there is one in the cache that others could have written.
    """
    return coupling_source.prebuilt() or build_cache.find(coupling_source.cached())


def build() -> Path:
    """Compile the library and put it into the cache.

    Raises:
        KernelError: there is no compiler, the cache cannot be written, or the compilation fails.
    """
    compiler = build_tools.compiler()
    if compiler is None:
        raise KernelError("no C++ compiler ($CXX, or c++ on PATH)")
    with build_cache.build_folder() as private:
        made = private / "coupling.so"
        command = [compiler, *coupling_source.FLAGS, "-shared", "-fPIC", str(coupling_source.SOURCE)]
        done = subprocess.run([*command, "-o", str(made)], capture_output=True, text=True, errors="replace")
        log = build_cache.folder() / "build-coupling.log"
        try:
            log.write_text(done.stdout + done.stderr)
            if done.returncode == 0:
                return build_cache.store(made, coupling_source.cached())
        except OSError as error:
            raise KernelError(f"cache folder {build_cache.folder()}: {error.strerror or error}") from None
    raise KernelError(f"compilation failed; the compiler's output: {log}")


def _search(*, may_build: bool) -> Found:
    path = find() or (build() if may_build else None)
    if path is None:
        return Found(None, None)
    try:
        # what the installation brought is as trusted as the package that it is in
        prebuilt = path.parent == coupling_source.CSRC
        loaded = ctypes.CDLL(str(path)) if prebuilt else build_cache.load(path)
        function = loaded.flowkit_coupling_inverse
        function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_int], ctypes.c_int
        level = int(loaded.flowkit_coupling_level())
        normals = loaded.flowkit_normals
        normals.argtypes = [ctypes.c_void_p, ctypes.c_int64, *[ctypes.c_void_p] * 4]
        normals.restype = None
    except (OSError, AttributeError) as error:
        why = str(error).partition("\n")[0]
        raise KernelError(f"{path} cannot be loaded: {why}; try: flowkit build-kernels --force") from None
    return Found(path, lambda job, level: int(function(ctypes.addressof(job), level)), level, normals)
