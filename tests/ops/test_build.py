from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from flowkit.errors import KernelError
from flowkit.ops import build, build_cache, build_tools


def no_file_is_called(library):
    """What a build writes, without a compiler: it is the cache that is tested."""
    library.write_bytes(b"not a library, but whole")
    return library


@pytest.mark.usefixtures("can_compile")
def test_a_build_is_one_whole_file_in_the_cache(stub):
    plan = build.plan("cpu")
    library = build.build(plan)
    assert stub.libraries() == [library] == [build_cache.find(plan.name)]
    assert not list(stub.cache.glob("build-*/"))
    torch.ops.load_library(str(library))


@pytest.mark.usefixtures("can_compile")
def test_a_compile_error_is_short_and_names_the_log(stub):
    stub.cpp.write_text('extern "C" int flowkit_stub() { return nonsense; }\n')
    with pytest.raises(
        KernelError, match=r"compilation failed .*nonsense.*all of it: .*build-cpu\.log"
    ) as found:
        build.build(build.plan("cpu"))
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 500
    assert "nonsense" in (stub.cache / "build-cpu.log").read_text()
    assert stub.libraries() == []
    assert not list(stub.cache.glob("build-*/"))


@pytest.mark.usefixtures("can_compile")
def test_two_processes_at_once(stub):
    script = f"""
from pathlib import Path
from flowkit.ops.build import Plan, build
print(build(Plan("cpu", [Path({str(stub.cpp)!r})], [], ["-O1"])))
"""
    command = [sys.executable, "-c", script]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    [library] = stub.libraries()  # the same bytes have the same name
    assert told == {str(library)}
    assert build_cache.find(library.stem.rpartition("-")[0]) == library


@pytest.mark.parametrize(
    ("variable", "command", "message"),
    [
        ("PATH", "ninja", "no ninja on PATH: pip install ninja"),
        ("PATH", "c++", r"no C\+\+ compiler \(c\+\+\) on PATH"),
        ("CXX", "", 'no C\\+\\+ compiler: CXX is "no-such-compiler -m64"'),
    ],
)
def test_no_tool(stub, monkeypatch, variable, command, message):
    for name in {"ninja", "c++"} - {command}:
        stub.fake(name, "exit 0")
    monkeypatch.setattr(sys, "executable", str(stub.bin / "python"))  # beside which pip puts ninja
    monkeypatch.setenv("PATH", str(stub.bin))
    if variable == "CXX":
        monkeypatch.setenv("CXX", "no-such-compiler -m64")
    with pytest.raises(KernelError, match=message):
        build.build(build.plan("cpu"))
    assert not stub.cache.exists()


@pytest.mark.parametrize(
    ("torch_cuda", "nvcc", "home", "message"),
    [
        (None, None, None, "is built without CUDA"),
        ("12.8", None, None, "no nvcc on PATH$"),
        ("13.0", None, None, r"no nvcc on PATH: pip install 'cuda-toolkit\[.*nvcc.*\]==13\.0\.\*'"),
        ("13.0", None, "/nowhere", "no nvcc in /nowhere/bin"),
        ("13.0", "release 12.9, V12.9.86", None, r"nvcc is of CUDA 12\.9, torch of CUDA 13\.0"),
        ("13.0", "", None, r"nvcc is of CUDA unknown, torch of CUDA 13\.0"),
        ("13.0", "release 13.2, V13.2.1", None, None),
    ],
)
def test_what_cuda_needs(stub, monkeypatch, torch_cuda, nvcc, home, message):
    for name in ("ninja", "c++"):
        stub.fake(name, "exit 0")
    if nvcc is not None:
        stub.fake("nvcc", f"echo 'Cuda compilation tools, {nvcc}'")
    monkeypatch.setattr(torch.version, "cuda", torch_cuda)
    monkeypatch.setattr(sys, "executable", str(stub.bin / "python"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(stub.bin), "/bin"]) if nvcc else str(stub.bin))
    monkeypatch.setattr(build_tools, "USUAL_CUDA", stub.bin / "no-cuda")
    monkeypatch.setattr(build_tools, "_wheels", list)
    if home:
        monkeypatch.setenv("CUDA_HOME", home)
    if message is None:
        assert build_tools.missing("cuda") is None
    else:
        with pytest.raises(KernelError, match=message):
            build.build(build.plan("cuda"))


@pytest.mark.parametrize("way", ["itself", "link", "script", "wheel"])
def test_the_toolkit_is_found_behind_its_compiler(stub, monkeypatch, tmp_path, way):
    """A link to nvcc or a script that calls it lies in no toolkit's folder; a wheel's is not on PATH."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(build_tools, "USUAL_CUDA", tmp_path / "no-cuda")
    home = tmp_path / "nvidia" / "cu13"
    (home / "bin").mkdir(parents=True)
    nvcc = home / "bin" / "nvcc"
    # as nvcc does, which believes the path that it is called by
    nvcc.write_text('#!/bin/sh\necho "#$ _HERE_=$(dirname "$0")" >&2\n')
    nvcc.chmod(0o755)
    places = [str(stub.bin), "/usr/bin", "/bin"]
    monkeypatch.setenv("PATH", os.pathsep.join([str(nvcc.parent), *places] if way == "itself" else places))
    if way == "link":
        (stub.bin / "nvcc").symlink_to(nvcc)
    elif way == "script":
        stub.fake("nvcc", f'exec {nvcc} "$@"')
    elif way == "wheel":
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    assert build.environment("cuda", tmp_path)["CUDA_HOME"] == str(home)
    assert "CUDA_HOME" not in build.environment("cpu", tmp_path)


@pytest.mark.parametrize(("library", "linked"), [("libcudart.so.13", True), ("libcudart.so", False)])
def test_a_runtime_without_the_name_that_linkers_look_for(stub, monkeypatch, tmp_path, library, linked):
    home = tmp_path / "cuda"
    scratch = tmp_path / "scratch"
    for folder in (home / "lib", scratch):
        folder.mkdir(parents=True)
    (home / "lib" / library).write_bytes(b"CUDA's runtime")
    monkeypatch.setattr(build_tools, "cuda_home", lambda: home)
    monkeypatch.setenv("LIBRARY_PATH", "/others")
    told = build.environment("cuda", scratch)
    if linked:
        assert told["LIBRARY_PATH"].split(os.pathsep) == [str(scratch), "/others"]
        assert (scratch / "libcudart.so").read_bytes() == b"CUDA's runtime"
    else:
        assert "LIBRARY_PATH" not in told
        assert not list(scratch.iterdir())


@pytest.mark.usefixtures("can_compile")
def test_a_linker_s_error_names_what_is_missing(stub, monkeypatch):
    linker = "/usr/bin/ld: cannot find -lcudart: No such file or directory"
    said = f"echo '{linker}'; echo 'collect2: error: ld returned 1 exit status'; exit 1"
    stub.fake("ninja", f'[ "$1" = --version ] && exit 0; {said}')
    with pytest.raises(KernelError, match=rf"compilation failed \({linker}\)"):
        build.build(build.plan("cpu"))


def test_a_cache_that_cannot_be_written(stub, monkeypatch):
    for name in ("ninja", "c++"):
        stub.fake(name, "exit 0")
    stub.cache.write_text("a file, not a folder")  # root may write everywhere, but not here
    with pytest.raises(KernelError, match=r"cache folder .* cannot be written \(.*\); set FLOWKIT_CACHE"):
        build.build(build.plan("cpu"))


def test_what_the_key_depends_on(stub, monkeypatch):
    """A changed source, header, flag, torch or architecture never meets a library made from the other."""
    names = [build.plan("cpu").name, build.plan("cuda").name]
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.6")
    assert build.plan("cpu").name == names[0]  # the processor's library has none
    names += [build.plan("cuda").name]
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    names += [build.plan("cpu").name]
    stub.header.write_text("#define ONE 2\n")
    names += [build.plan("cpu").name]
    stub.cpp.write_text(stub.cpp.read_text() + "\n")
    names += [build.plan("cpu").name]
    plan = build.plan("cpu")
    names += [replace(plan, cxx_flags=["-O1", "-g"]).name, replace(plan, target="-DTARGET=2").name]
    names += [replace(plan, cxx_flags=["-O", "1"]).name, replace(plan, cxx_flags=[], nvcc_flags=["-O1"]).name]
    assert len(set(names)) == len(names)


def test_a_stale_library_is_not_found_and_the_prebuilt_one_neither(stub):
    plan = build.plan("cpu")
    stub.cache.mkdir()
    build_cache.store(no_file_is_called(stub.cache / "new"), plan.name)
    prebuilt = no_file_is_called(stub.cpp.parent / f"{plan.module}.abi3.so")
    assert build_cache.find(plan.name) is not None
    assert build.prebuilt(plan) == prebuilt
    stub.header.write_text("#define ONE 2\n")
    changed = build.plan("cpu")
    assert build_cache.find(changed.name) is None
    assert build.prebuilt(changed) is None


def test_a_damaged_library_is_not_found_and_a_new_one_takes_its_place(stub):
    name = build.plan("cpu").name
    stub.cache.mkdir()
    library = build_cache.store(no_file_is_called(stub.cache / "new"), name)
    assert not build_cache.damaged(name)
    library.write_bytes(library.read_bytes()[:10])
    assert build_cache.find(name) is None
    assert build_cache.damaged(name)
    whole = build_cache.store(no_file_is_called(stub.cache / "new"), name)
    assert build_cache.find(name) == whole
    (stub.cache / "other").write_bytes(b"newer")
    newer = build_cache.store(stub.cache / "other", name)
    assert stub.libraries() == [newer]


def test_what_a_killed_build_left_goes_and_what_another_process_writes_stays(stub):
    old, young = stub.cache / "build-old", stub.cache / "build-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "half.so").write_bytes(b"\x7fELF")
    long_ago = time.time() - 2 * build_cache.FORGOTTEN
    os.utime(old, (long_ago, long_ago))
    with build_cache.build_folder() as private:
        assert private.parent == stub.cache
        assert build_cache.find(build.plan("cpu").name) is None
    assert list(stub.cache.iterdir()) == [young]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FLOWKIT_CACHE": "/a/b"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/flowkit"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/flowkit"),
        ({"HOME": "/h"}, "/h/.cache/flowkit"),
        ({"FLOWKIT_CACHE": "~/c", "HOME": "/h"}, "/h/c"),
    ],
)
def test_the_cache_folder(monkeypatch, environment, expected):
    for name in ("FLOWKIT_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(build_cache.folder()) == expected
