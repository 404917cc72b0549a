"""Libraries that somebody else may have put into the cache: their code never runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from flowkit.errors import KernelError
from flowkit.ops import build, build_cache, kernels
from flowkit.ops.own_files import check_folder, own_file, read_all

CPU = torch.device("cpu")
PLANTED = """
#include <cstdio>
__attribute__((constructor)) static void run() { std::fclose(std::fopen("%s", "w")); }
"""


def compiled(folder: Path, source: str) -> Path:
    if not shutil.which("c++"):
        pytest.skip("no C++ compiler")
    (folder / "planted.cpp").write_text(source)
    command = ["c++", "-shared", "-fPIC", "-o", folder / "planted.so", folder / "planted.cpp"]
    subprocess.run(command, check=True)
    return folder / "planted.so"


@pytest.fixture
def mark(tmp_path) -> Path:
    """A file that is there once the planted library has run."""
    return tmp_path / "it ran"


@pytest.fixture
def planted(stub, tmp_path, mark) -> Path:
    stub.cache.mkdir(mode=0o700)
    return build_cache.store(compiled(tmp_path, PLANTED % mark), build.plan("cpu").name)


def other_user(library, monkeypatch):
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)


def linked(library, monkeypatch):
    elsewhere = library.rename(library.parent / "elsewhere")
    library.symlink_to(elsewhere)


WAYS = {
    "cache folder .*cache can be written by others .mode 777.; run: chmod go-w": lambda library, _: (
        library.parent.chmod(0o777)
    ),
    "cache folder .*cache can be written by others .mode 770.": lambda library, _: library.parent.chmod(
        0o770
    ),
    "library .*so can be written by others .mode 775.; run: chmod go-w": lambda library, _: library.chmod(
        0o775
    ),
    "cache folder .*cache belongs to user .*, expected .*; set FLOWKIT_CACHE": other_user,
    "": linked,
}


@pytest.mark.parametrize("message", WAYS)
def test_what_others_could_have_written_does_not_run(planted, mark, monkeypatch, message):
    WAYS[message](planted, monkeypatch)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert not kernels.available(CPU)
    assert not mark.exists()
    [warning] = caught
    expected = message or "the library in the cache is damaged"
    assert re.search(expected, str(warning.message))
    if message:
        monkeypatch.setenv("FLOWKIT_KERNELS", "require")
        monkeypatch.setattr(kernels, "_resolved", {})
        with pytest.raises(KernelError, match=message):
            kernels.available(CPU)


def test_the_users_own_runs(planted, mark):
    assert kernels.available(CPU)
    assert mark.exists()


def test_what_was_checked_is_what_is_loaded(planted, mark, tmp_path, monkeypatch):
    """The path leads to another file between the check and the loading."""
    other = tmp_path / "other"
    other.mkdir()
    swapped = compiled(other, PLANTED % (other / "it ran"))

    def swap(descriptor: int) -> bytes:
        content = read_all(descriptor)
        if swapped.exists():
            swapped.replace(planted)
        return content

    monkeypatch.setattr(build_cache, "read_all", swap)
    build_cache.load(planted)
    assert mark.exists()
    assert not (other / "it ran").exists()


def test_nothing_is_built_where_others_may_write(stub):
    stub.cache.mkdir()
    stub.cache.chmod(0o777)
    with pytest.raises(KernelError, match="can be written by others"), build_cache.build_folder():
        pass
    assert list(stub.cache.iterdir()) == []


def test_no_regular_file_is_opened(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(KernelError, match="pipe is no regular file"), own_file(pipe):
        pass
    check_folder(tmp_path)


def test_whatever_the_umask_a_stored_library_is_loaded(stub, tmp_path, mark):
    before = os.umask(0)
    try:
        stub.cache.mkdir(mode=0o700)
        library = build_cache.store(compiled(tmp_path, PLANTED % mark), build.plan("cpu").name)
    finally:
        os.umask(before)
    build_cache.load(library)
    assert mark.exists()


def test_a_library_without_the_op_ends_in_the_pure_path(tmp_path):
    """In a process of its own, where no op has been loaded."""
    library = compiled(tmp_path, "int nothing() { return 0; }")
    script = f"""
import warnings
from pathlib import Path
import torch
from flowkit.ops import affine, build, build_cache
build_cache.store(Path({str(library)!r}), build.plan("cpu").name)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    out, _ = affine(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
assert out.tolist() == [[[[2.0, 2.0], [2.0, 2.0]]]]
print(*(str(warning.message) for warning in caught))
"""
    (tmp_path / "cache").mkdir(mode=0o700)
    environment = {**os.environ, "FLOWKIT_CACHE": str(tmp_path / "cache"), "FLOWKIT_KERNELS": "auto"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "cannot be loaded" in done.stdout
    assert "using the pure-PyTorch path" in done.stdout
