from __future__ import annotations

import fcntl
import os
import shutil
import types
from pathlib import Path

import pytest
import torch

from flowkit.ops import build, build_cache, build_check, build_tools, kernels


class Stub:
    """A library that compiles in a second, in place of flowkit's own."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.bin = folder / "bin"
        self.cpp = folder / "csrc" / "op.cpp"
        self.cuda = folder / "csrc" / "op.cu"
        self.header = folder / "csrc" / "maths.h"
        self.error = 0.0  # of what the library computes
        self.bin.mkdir()
        self.cpp.parent.mkdir()
        self.header.write_text("#define ONE 1\n")
        self.cpp.write_text('#include "maths.h"\nextern "C" int flowkit_stub() { return ONE; }\n')
        self.cuda.write_text(self.cpp.read_text())

    def fake(self, command: str, script: str) -> None:
        """Put a program in front of all others on PATH."""
        path = self.bin / command
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def libraries(self) -> list[Path]:
        return sorted(self.cache.glob("*.so"))


@pytest.fixture
def stub(tmp_path, monkeypatch) -> Stub:
    """Kernels as in a process that has just started, with an empty cache and a library of our own."""
    it = Stub(tmp_path)
    sources = types.SimpleNamespace(
        cpp_sources=lambda: [it.cpp],
        cuda_sources=lambda: [it.cuda],
        CXX_FLAGS=["-O1"],
        NVCC_FLAGS=["-O1"],
        target_define=lambda version: "-DTARGET=1",
    )
    monkeypatch.setattr(build, "sources", sources)
    monkeypatch.setattr(kernels, "register_fakes", lambda: None)
    for name, fresh in (("_resolved", {}), ("_loaded", {}), ("_warned", False)):
        monkeypatch.setattr(kernels, name, fresh)
    monkeypatch.setattr(build_check, "difference", lambda device: it.error)
    for name in ("FLOWKIT_KERNELS", "CUDA_HOME", "CUDA_PATH", "TORCH_CUDA_ARCH_LIST", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLOWKIT_CACHE", str(it.cache))
    monkeypatch.setenv("PATH", os.pathsep.join([str(it.bin), os.environ["PATH"]]))
    return it


@pytest.fixture
def can_compile() -> None:
    """Where a compiler and ninja are; the tests of their absence need neither."""
    if not shutil.which("c++") or not build_tools.ninja():
        pytest.skip("no C++ compiler, or no ninja (pip install ninja)")


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Path:
    """The op for the processor, built once, into a folder of its own."""
    if why := build_tools.missing("cpu"):
        pytest.skip(f"the op cannot be compiled here: {why}")
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # the workers' own: the first builds for all
    with pytest.MonkeyPatch.context() as patch, (folder / "kernels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.setenv("FLOWKIT_CACHE", str(folder / "kernels"))
        plan = build.plan("cpu")
        return build_cache.find(plan.name) or build.build(plan)


@pytest.fixture
def compiled(library, monkeypatch) -> None:
    """That it serves the processor."""
    monkeypatch.setenv("FLOWKIT_KERNELS", "require")
    monkeypatch.setenv("FLOWKIT_CACHE", str(library.parent))
    monkeypatch.setattr(kernels, "_resolved", {})
    assert kernels.available(torch.device("cpu"))
