from __future__ import annotations

import subprocess
import warnings

import pytest
import torch

from flowkit.cli import main
from flowkit.errors import FlowkitError, KernelError
from flowkit.ops import build, coupling_library, kernels

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def toolless(stub, monkeypatch):
    """A machine with a CUDA torch, and no tools at all: nothing can be built."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(build.build_tools, "missing", lambda kind: "no nvcc on PATH")
    return stub


@pytest.fixture
def built(stub, can_compile):
    """A library for the CPU in the cache, where `build.build` puts it; that takes seconds to import torch."""
    stub.cache.mkdir()
    subprocess.run(["c++", "-shared", "-fPIC", stub.cpp, "-o", stub.cache / "new"], check=True)
    return build.build_cache.store(stub.cache / "new", build.plan("cpu").name)


def warned(call) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(warning.message) for warning in caught]


def test_nothing_built_on_the_cpu_is_silent_and_compiles_nothing(stub):
    assert not kernels.available(CPU)
    assert not stub.cache.exists()
    assert kernels.status()["cpu"].startswith("pure PyTorch (nothing built")


def test_what_is_built_is_used_without_compiler_or_ninja(built, toolless):
    assert kernels.available(CPU)
    assert kernels.available(torch.device("cpu", 0))
    assert kernels.status()["cpu"] == f"compiled, {built}"


def test_off_uses_nothing(built, monkeypatch):
    monkeypatch.setenv("FLOWKIT_KERNELS", "off")
    assert not kernels.available(CPU)
    assert not kernels.available(CUDA)
    assert set(kernels.status().values()) == {"pure PyTorch (FLOWKIT_KERNELS=off)"}


def test_they_can_be_set_aside_for_a_while(built):
    with pytest.raises(ZeroDivisionError), kernels.without():
        assert not kernels.available(CPU)
        raise ZeroDivisionError
    assert kernels.available(CPU)
    with kernels.without():
        assert not kernels.available(CPU)
    assert kernels.available(CPU)


@pytest.mark.usefixtures("can_compile")
def test_require_builds(stub, monkeypatch):
    monkeypatch.setenv("FLOWKIT_KERNELS", "require")
    assert kernels.available(CPU)
    assert len(stub.libraries()) == 1


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_require_is_an_error_every_time_where_they_cannot_be_built(toolless, monkeypatch, device):
    monkeypatch.setenv("FLOWKIT_KERNELS", "require")
    for _ in range(2):
        with pytest.raises(KernelError, match=r"FLOWKIT_KERNELS=require, but .* \(no nvcc on PATH\)"):
            kernels.available(device)


def test_auto_on_cuda_says_once_why_not(toolless):
    [message] = warned(lambda: [kernels.available(CUDA) for _ in range(3)])
    assert message == (
        "flowkit: compiled kernels unavailable (no nvcc on PATH); using the pure-PyTorch path: same results, "
        "slower. FLOWKIT_KERNELS=off hides this, =require turns it into an error."
    )
    assert not kernels.available(CUDA)


def test_devices_without_kernels_are_nobodys_business(toolless, monkeypatch):
    monkeypatch.setenv("FLOWKIT_KERNELS", "require")
    assert not kernels.available(torch.device("meta"))


def test_a_value_that_is_not_known(stub, monkeypatch):
    monkeypatch.setenv("FLOWKIT_KERNELS", "always")
    for ask in (lambda: kernels.available(CPU), kernels.status):
        with pytest.raises(FlowkitError, match='must be one of auto, off, require; got "always"'):
            ask()


def test_a_damaged_library_is_not_loaded(built):
    built.write_bytes(built.read_bytes()[:1000])
    [message] = warned(lambda: kernels.available(CPU))
    assert "(the library in the cache is damaged; run: flowkit build-kernels)" in message
    assert not kernels.available(CPU)


def test_a_library_that_does_not_load(stub):
    stub.cache.mkdir()
    (stub.cache / "new").write_bytes(b"whole, but no library")
    build.build_cache.store(stub.cache / "new", build.plan("cpu").name)
    [message] = warned(lambda: kernels.available(CPU))
    assert "cannot be loaded" in message
    assert "try: flowkit build-kernels --force" in message


@pytest.mark.parametrize("error", [0.5, float("nan")])
def test_wrong_results_are_not_used(stub, built, error):
    stub.error = error
    [message] = warned(lambda: kernels.available(CPU))
    assert "computes wrong results" in message
    assert not kernels.available(CPU)


def test_wrong_results_are_an_error_where_kernels_are_required(stub, built, monkeypatch):
    stub.error = 0.5
    monkeypatch.setenv("FLOWKIT_KERNELS", "require")
    with pytest.raises(KernelError, match="computes wrong results, off by 0.5"):
        kernels.available(CPU)


def test_a_cache_that_cannot_be_written_ends_in_the_pure_path(stub, monkeypatch):
    monkeypatch.setattr(build.build_tools, "missing", lambda kind: None)
    stub.cache.write_text("a file")
    [message] = warned(lambda: kernels.available(CUDA))
    assert "cannot be written" in message
    assert "set FLOWKIT_CACHE" in message


def test_a_first_use_while_compiling(built):
    def double(x):
        return 2 * x if kernels.available(x.device) else x

    torch.compiler.reset()
    compiled = torch.compile(double, fullgraph=True, backend="eager")
    assert torch.equal(compiled(torch.ones(3)), torch.full((3,), 2.0))


@pytest.mark.usefixtures("can_compile")
def test_the_verb(stub, capsys, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(coupling_library, "find", lambda: None)
    monkeypatch.setattr(coupling_library, "build", lambda: "coupling.so")
    assert main(["build-kernels"]) == 0
    [library] = stub.libraries()
    assert capsys.readouterr().out == f"coupling.so: built\n{library}: built\n"
    monkeypatch.setattr(coupling_library, "find", lambda: "coupling.so")
    stamp = library.stat().st_mtime_ns
    assert main(["build-kernels", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == f"coupling.so: is there already\n{library}: is there already\n"
    assert library.stat().st_mtime_ns == stamp
    assert main(["build-kernels", "--device", "cuda"]) == 2
    told = capsys.readouterr()
    assert "the kernels for cuda cannot be built" in told.err
    assert "is built without CUDA" in told.err
    assert main(["build-kernels", "--force"]) == 0
    assert capsys.readouterr().out.count(": built\n") == 2
    monkeypatch.setattr(coupling_library, "_found", coupling_library.Found(None, None))
    assert main(["env"]) == 0
    assert f"kernels, cpu  compiled, {stub.libraries()[0]}" in capsys.readouterr().out


def test_a_version_without_kernels_for_cuda_says_nothing_unless_they_are_required(stub, monkeypatch):
    monkeypatch.setattr(build.sources, "cuda_sources", lambda: [])
    monkeypatch.setattr(kernels, "_loaded", {"cpu": stub.cpp})
    assert warned(lambda: kernels.available(CUDA)) == []
    monkeypatch.setattr(kernels, "_resolved", {})
    monkeypatch.setenv("FLOWKIT_KERNELS", "require")
    with pytest.raises(KernelError, match="this version of flowkit has no kernels for cuda"):
        kernels.available(CUDA)
